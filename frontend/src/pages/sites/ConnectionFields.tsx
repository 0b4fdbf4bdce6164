/** How the hub reaches a Kubernetes cluster: a kubeconfig, or server, authority and token; and a try of it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Checkbox, Group, PasswordInput, SegmentedControl, Stack, Text, Textarea, TextInput } from "@mantine/core";
import type { GetInputPropsReturnType } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { clustersCheckConnectionMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { CheckResult } from "./CheckResult";
import { connectionErrors, type ConnectionDraft, isFilled, settingsOf, toConnection } from "./connection";

interface Props {
  draft: ConnectionDraft;
  /** The form's own props for one of the fields. */
  field: (name: keyof ConnectionDraft, options?: { type: "checkbox" }) => GetInputPropsReturnType;
  onErrors: (errors: Record<string, string>) => void;
  /** Whether how the cluster was prepared is asked too. */
  isNew: boolean;
}

/** What came of a try must not appear below the edge of the dialog. */
const showIt = (element: HTMLElement | null) => element?.scrollIntoView({ block: "nearest" });

const NO_HELP = { autoComplete: "off", autoCorrect: "off", autoCapitalize: "off", spellCheck: false } as const;

export function ConnectionFields({ draft, field, onErrors, isNew }: Props) {
  const { t } = useLingui();
  const check = useMutation({
    ...clustersCheckConnectionMutation(),
    onSuccess: () => onErrors({}),
    onError: (error) => onErrors(connectionErrors(error)),
  });
  const body = { ...toConnection(draft), ...(isNew ? { settings: settingsOf(draft) } : {}) };
  // What came of another connection says nothing about this one.
  const isCurrent = JSON.stringify(check.variables?.body) === JSON.stringify(body);
  const hasFieldErrors = Object.keys(connectionErrors(check.error)).length > 0;
  return (
    <Stack gap="sm">
      <SegmentedControl
        aria-label={t`How it is given`}
        {...field("by")}
        data={[
          { value: "kubeconfig", label: t`A kubeconfig` },
          { value: "token", label: t`Server and token` },
        ]}
      />
      {draft.by === "kubeconfig" ? (
        <Textarea
          label={t`Kubeconfig`}
          description={t`With a token or a client certificate in it. What runs programs or names files is refused.`}
          placeholder="apiVersion: v1&#10;kind: Config"
          autosize
          minRows={6}
          maxRows={14}
          className="aq-mono"
          {...NO_HELP}
          {...field("kubeconfig")}
        />
      ) : (
        <>
          <TextInput label={t`API server`} description={t`as the hub reaches it`} placeholder="https://10.8.0.7:6443" {...NO_HELP} {...field("server")} />
          <PasswordInput label={t`Token`} description={t`of a service account`} visibilityToggleButtonProps={{ "aria-label": t`Show the token` }} {...NO_HELP} {...field("token")} autoComplete="new-password" />
          <Textarea
            label={t`Certificate of its authority`}
            description={t`PEM; empty where a public authority vouches for the server`}
            placeholder="-----BEGIN CERTIFICATE-----"
            autosize
            minRows={2}
            maxRows={8}
            className="aq-mono"
            {...NO_HELP}
            {...field("ca_pem")}
          />
          <TextInput label={t`Name in its certificate`} description={t`if it is not the server's`} {...NO_HELP} {...field("tls_server_name")} />
        </>
      )}
      {isNew && <Preparation field={field} />}
      <Group gap="sm">
        <Button variant="default" loading={check.isPending} disabled={!isFilled(draft)} onClick={() => check.mutate({ body })}><Trans>Try the connection</Trans></Button>
        <Text size="xs" c="dimmed"><Trans>Nothing is kept by a try.</Trans></Text>
      </Group>
      {isCurrent && check.data && <div ref={showIt}><CheckResult check={check.data} /></div>}
      {isCurrent && check.error && !hasFieldErrors && <ProblemAlert error={check.error} />}
    </Stack>
  );
}

const COMMANDS = "kubectl apply -f deploy/kubernetes/direct.yaml\nkubectl -n aquifer-system create token aquifer-hub --duration 8760h";

function Preparation({ field }: Pick<Props, "field">) {
  const { t } = useLingui();
  return (
    <div>
      <Checkbox
        label={t`The cluster was prepared with our account and roles`}
        description={t`aquifer-hub in aquifer-system may then work in the namespaces of projects, and nowhere else.`}
        {...field("isPrepared", { type: "checkbox" })}
      />
      <details className="aq-details">
        <summary><Trans>How to prepare it</Trans></summary>
        <Text size="xs" c="dimmed"><Trans>With kubectl at the cluster; the second line prints the token:</Trans></Text>
        <pre className="aq-log">{COMMANDS}</pre>
      </details>
    </div>
  );
}
