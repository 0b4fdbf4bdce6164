/** How a cluster that the hub asks directly is reached, and a new credential in the place of the old. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { Button, Skeleton, Stack, Text, Tooltip } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { lazy, Suspense } from "react";
import type { Cluster } from "~/api/__generated__";
import { formatMoment, formatUntil, secondsSince } from "~/lib/time";
import { useWhyNot } from "~/parts/Verbs";
import { Age } from "~/ui/Age";
import { Dialog } from "~/ui/Dialog";
import { Facts } from "~/ui/Facts";
import { Notice } from "~/ui/Notice";
import { Panel } from "~/ui/Panel";

const Reconnect = lazy(() => import("./Reconnect").then((module) => ({ default: module.Reconnect })));

const TOLD_BEFORE_SECONDS = 14 * 86_400;
const CONNECT = { name: "connect", permission: "cluster.edit" };

export function ConnectionPanel({ cluster }: { cluster: Cluster }) {
  const { t, i18n } = useLingui();
  const [isOpen, { open, close }] = useDisclosure(false);
  const why = useWhyNot({ noun: "cluster", thing: cluster })(CONNECT);
  const { connection } = cluster;
  const ways: Record<NonNullable<Cluster["connection"]>["way"], string> = { token: t`token`, certificate: t`client certificate`, password: t`user and password`, "ssh-key": t`key for SSH`, socket: t`socket of the hub's machine` };
  const end = connection?.expires_at ?? null;
  const isEnding = end !== null && -secondsSince(end) < TOLD_BEFORE_SECONDS;
  const button = (
    <Tooltip label={why} disabled={!why}>
      <Button size="xs" variant="default" data-disabled={why ? true : undefined} aria-disabled={why ? true : undefined} aria-description={why} onClick={() => !why && open()}>
        <Trans>Connect anew</Trans>
      </Button>
    </Tooltip>
  );
  return (
    <Panel title={<Trans>Connection</Trans>} aside={button}>
      {connection ? (
        <Stack gap="sm">
          <Facts
            items={[
              connection.machines.length > 0 ? [t`Machines`, <Plural key="machines" value={connection.machines.length} one="# machine by its management controller" other="# machines by their management controllers" />] : [t`Server`, connection.server],
              [t`Credential`, <Text key="credential" size="sm">{ways[connection.way]} <Text span size="xs" c="dimmed">{connection.fingerprint}</Text></Text>],
              [t`Believed because of`, connection.has_authority ? t`its own authority` : connection.machines.some((machine) => machine.fingerprint) ? t`the fingerprints of their certificates` : t`a public authority`],
              [t`Ends`, end === null ? t`never, as far as it says` : <span key="end" title={formatMoment(end, i18n.locale)}>{formatUntil(end, i18n.locale)}</span>],
              [t`Since`, <Age key="since" at={connection.replaced_at} />],
              ...(connection.tls_server_name ? [[t`Name in its certificate`, connection.tls_server_name] as [string, string]] : []),
            ]}
          />
          {isEnding && <Notice tone="warning"><Trans>Its credential ends soon. Connect it anew with a new one; what runs there goes on.</Trans></Notice>}
        </Stack>
      ) : (
        <Text size="sm" c="dimmed"><Trans>How it is reached is shown to those who may change it.</Trans></Text>
      )}
      <Dialog isOpen={isOpen} onClose={close} size="lg" title={`${t`Connect anew`}: ${cluster.name}`}>
        <Suspense fallback={<Skeleton height={260} />}><Reconnect cluster={cluster} onDone={close} /></Suspense>
      </Dialog>
    </Panel>
  );
}
