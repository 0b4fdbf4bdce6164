/** How the hub reaches a site that it calls by itself: where it is and what lets it in; and a try of it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Checkbox, Group, PasswordInput, SegmentedControl, Stack, Text, Textarea, TextInput } from "@mantine/core";
import type { GetInputPropsReturnType } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { clustersCheckConnectionMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { CheckResult } from "./CheckResult";
import { type By, connectionErrors, type ConnectionDraft, type Direct, isFilled, settingsOf, toConnection, WAYS_IN } from "./connection";

type Field = (name: keyof ConnectionDraft, options?: { type: "checkbox" }) => GetInputPropsReturnType;

interface Props {
  driver: Direct;
  draft: ConnectionDraft;
  /** The form's own props for one of the fields. */
  field: Field;
  onErrors: (errors: Record<string, string>) => void;
  /** Whether how the cluster was prepared is asked too. */
  isNew: boolean;
}

/** What came of a try must not appear below the edge of the dialog. */
const showIt = (element: HTMLElement | null) => element?.scrollIntoView({ block: "nearest" });

const NO_HELP = { autoComplete: "off", autoCorrect: "off", autoCapitalize: "off", spellCheck: false } as const;
const LINES = { autosize: true, minRows: 2, maxRows: 8, className: "aq-mono", ...NO_HELP } as const;

export function ConnectionFields({ driver, draft, field, onErrors, isNew }: Props) {
  const { t } = useLingui();
  const check = useMutation({
    ...clustersCheckConnectionMutation(),
    onSuccess: () => onErrors({}),
    onError: (error) => onErrors(connectionErrors(error)),
  });
  const body = { driver, ...toConnection(draft), ...(isNew ? { settings: settingsOf(draft, driver) } : {}) };
  // What came of another connection says nothing about this one.
  const isCurrent = JSON.stringify(check.variables?.body) === JSON.stringify(body);
  const hasFieldErrors = Object.keys(connectionErrors(check.error)).length > 0;
  const names: Record<By, string> = { kubeconfig: t`A kubeconfig`, token: t`Server and token`, certificate: t`By TLS`, ssh: t`By SSH`, password: t`By password` };
  return (
    <Stack gap="sm">
      {WAYS_IN[driver].length > 1 && (
        <SegmentedControl aria-label={t`How it is given`} {...field("by")} data={WAYS_IN[driver].map((way) => ({ value: way, label: names[way] }))} />
      )}
      {draft.by === "kubeconfig" && (
        <Textarea
          label={t`Kubeconfig`}
          description={t`With a token or a client certificate in it. What runs programs or names files is refused.`}
          placeholder="apiVersion: v1&#10;kind: Config"
          {...LINES}
          minRows={6}
          maxRows={14}
          {...field("kubeconfig")}
        />
      )}
      {draft.by === "token" && (
        <>
          <TextInput label={t`API server`} description={t`as the hub reaches it`} placeholder="https://10.8.0.7:6443" {...NO_HELP} {...field("server")} />
          <PasswordInput label={t`Token`} description={t`of a service account`} visibilityToggleButtonProps={{ "aria-label": t`Show the token` }} {...NO_HELP} {...field("token")} autoComplete="new-password" />
          <Authority field={field} />
        </>
      )}
      {draft.by === "certificate" && <ByCertificate driver={driver} field={field} />}
      {draft.by === "ssh" && <BySsh field={field} />}
      {draft.by === "password" && <Machines field={field} isNew={isNew} />}
      {isNew && driver === "kubernetes" && <Preparation field={field} />}
      <Group gap="sm">
        <Button variant="default" loading={check.isPending} disabled={!isFilled(draft)} onClick={() => check.mutate({ body })}><Trans>Try the connection</Trans></Button>
        <Text size="xs" c="dimmed"><Trans>Nothing is kept by a try.</Trans></Text>
      </Group>
      {isCurrent && check.data && <div ref={showIt}><CheckResult check={check.data} /></div>}
      {isCurrent && check.error && !hasFieldErrors && <ProblemAlert error={check.error} />}
    </Stack>
  );
}

function Authority({ field }: { field: Field }) {
  const { t } = useLingui();
  return (
    <>
      <Textarea label={t`Certificate of its authority`} description={t`PEM; empty where a public authority vouches for the server`} placeholder="-----BEGIN CERTIFICATE-----" {...LINES} {...field("ca_pem")} />
      <TextInput label={t`Name in its certificate`} description={t`if it is not the server's`} {...NO_HELP} {...field("tls_server_name")} />
    </>
  );
}

function ByCertificate({ driver, field }: { driver: Direct; field: Field }) {
  const { t } = useLingui();
  const isDocker = driver === "docker";
  return (
    <>
      <TextInput label={isDocker ? t`Docker host` : t`KVM host`} description={t`as the hub reaches it`} placeholder={isDocker ? "https://10.8.0.7:2376" : "qemu+tls://kvm-1.example.org/system"} {...NO_HELP} {...field("server")} />
      <Textarea label={t`Client certificate`} description={t`PEM; made for the hub by the host's own authority`} placeholder="-----BEGIN CERTIFICATE-----" {...LINES} {...field("client_cert_pem")} />
      <Textarea label={t`Its key`} description={t`PEM, without a password`} placeholder="-----BEGIN PRIVATE KEY-----" {...LINES} {...field("client_key_pem")} />
      <Authority field={field} />
    </>
  );
}

function BySsh({ field }: { field: Field }) {
  const { t } = useLingui();
  return (
    <>
      <TextInput label={t`KVM host`} description={t`with the user who may speak to libvirt`} placeholder="qemu+ssh://aquifer@kvm-1.example.org/system" {...NO_HELP} {...field("server")} />
      <Textarea label={t`Private key for SSH`} description={t`of this user, without a password`} placeholder="-----BEGIN OPENSSH PRIVATE KEY-----" {...LINES} {...field("ssh_private_key")} />
      <Textarea label={t`Keys of the host`} description={t`as ssh-keyscan prints them; no other host is believed`} placeholder="kvm-1.example.org ssh-ed25519 AAAA…" {...LINES} {...field("ssh_known_hosts")} />
    </>
  );
}

function Machines({ field, isNew }: { field: Field; isNew: boolean }) {
  const { t } = useLingui();
  return (
    <>
      <Textarea
        label={t`Machines`}
        description={t`one a line: name, its management controller, and SHA-256 of the controller's certificate where no authority vouches for it`}
        placeholder={"srv-1 https://10.9.0.1 3f0c…\nsrv-2 https://10.9.0.2"}
        {...LINES}
        minRows={3}
        {...field("machines")}
      />
      <div className="aq-fields">
        <TextInput label={t`User`} description={t`at all controllers`} {...NO_HELP} {...field("username")} />
        <PasswordInput label={t`Password`} visibilityToggleButtonProps={{ "aria-label": t`Show the password` }} {...NO_HELP} {...field("password")} autoComplete="new-password" />
      </div>
      <Textarea label={t`Certificate of their authority`} description={t`PEM; empty where fingerprints are given`} placeholder="-----BEGIN CERTIFICATE-----" {...LINES} {...field("ca_pem")} />
      {isNew && (
        <div className="aq-fields">
          <TextInput label={t`Who wipes a server between two tenants`} description={t`address of a service of yours; empty: nobody does`} placeholder="https://wipe.example.org/servers" {...NO_HELP} {...field("wipeHook")} />
          <PasswordInput label={t`Secret for signing`} description={t`so that it knows who asks`} visibilityToggleButtonProps={{ "aria-label": t`Show the secret` }} {...NO_HELP} {...field("hook_secret")} autoComplete="new-password" />
        </div>
      )}
    </>
  );
}

const COMMANDS = "kubectl apply -f deploy/kubernetes/direct.yaml\nkubectl -n aquifer-system create token aquifer-hub --duration 8760h";

function Preparation({ field }: { field: Field }) {
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
