import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Checkbox, Group, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { Cluster } from "~/api/__generated__";
import { clustersConnectMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { Problem } from "~/api/problem";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Notice } from "~/ui/Notice";
import { ConnectionFields } from "./ConnectionFields";
import { connectionErrors, type Direct, isFilled, NO_CONNECTION, toConnection, WAYS_IN } from "./connection";

/** All of it is sent anew: nothing of the old credential is kept, and so nothing of it is shown. */
export function Reconnect({ cluster, onDone }: { cluster: Cluster; onDone: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const driver = (cluster.driver in WAYS_IN ? cluster.driver : "kubernetes") as Direct;
  const form = useForm({ initialValues: { ...NO_CONNECTION, by: WAYS_IN[driver][0] ?? "kubeconfig", isSame: false } });
  const connect = useMutation({
    ...clustersConnectMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      notifications.show({ title: t`Connected anew`, message: cluster.name });
      onDone();
    },
    onError: (error) => form.setErrors(connectionErrors(error)),
  });
  // A server that is new could be another cluster, on which nothing of ours runs: the hub asks before it believes it.
  const asksWhether = connect.error instanceof Problem && connect.error.code === "conflict";
  const hasFieldErrors = Object.keys(connectionErrors(connect.error)).length > 0;
  return (
    <form
      onSubmit={form.onSubmit(({ isSame, ...draft }) =>
        connect.mutate({ path: { id: cluster.id }, body: { ...toConnection(draft), ...(isSame ? { is_same_cluster: true } : {}) } }),
      )}
    >
      <Stack>
        <Text size="sm"><Trans>Server, authority and credential are replaced as a whole. What runs there goes on.</Trans></Text>
        <ConnectionFields driver={driver} draft={form.values} field={(name, options) => form.getInputProps(name, options)} onErrors={form.setErrors} isNew={false} />
        {asksWhether && <Notice tone="warning" role="alert"><Trans>Work holds hardware here, and the server or its authority is another one.</Trans></Notice>}
        {connect.error && !asksWhether && !hasFieldErrors && <ProblemAlert error={connect.error} />}
        {(asksWhether || form.values.isSame) && (
          <Checkbox
            label={t`It is the same cluster`}
            description={t`Another cluster would say that nothing runs there, and its cards would be given away twice.`}
            {...form.getInputProps("isSame", { type: "checkbox" })}
          />
        )}
        <Group justify="flex-end"><Button type="submit" loading={connect.isPending} disabled={!isFilled(form.values)}><Trans>Connect anew</Trans></Button></Group>
      </Stack>
    </form>
  );
}
