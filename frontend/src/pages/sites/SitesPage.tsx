import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus, IconServerOff } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import type { Cluster } from "~/api/__generated__";
import { clustersListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { pb } from "~/lib/path-builder";
import { CLUSTER_KINDS } from "~/lib/words";
import { AppLink } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { VerbMenu } from "~/parts/Verbs";
import { StateCell, useWord } from "~/parts/words";
import { Age } from "~/ui/Age";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { ClusterCards } from "./ClusterCards";
import { CLUSTER_VERBS } from "./verbs";

const AddSite = lazy(() => import("./AddSite").then((module) => ({ default: module.AddSite })));

const query = { ...clustersListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };

export function SitesPage() {
  const { t } = useLingui();
  const word = useWord();
  const can = useCan();
  const clusters = useInfiniteQuery(query);
  const [isAdding, { open, close }] = useDisclosure(false);
  const [wasAsked, setAsked] = useState(false);
  const ask = () => {
    setAsked(true);
    open();
  };
  const add = can("site.edit") && <Button leftSection={<IconPlus size={16} />} onClick={ask}><Trans>Add a site</Trans></Button>;
  const columns: Column<Cluster>[] = [
    {
      key: "name",
      header: t`Site`,
      cell: (row) => (
        <>
          <AppLink path={pb.cluster(row.id)} fw={600}>{row.name}</AppLink>
          <Text size="xs" c="dimmed">{row.site_name}</Text>
        </>
      ),
    },
    { key: "kind", header: t`Kind`, cell: (row) => <span className="aq-nowrap">{word(CLUSTER_KINDS, row.kind)}</span> },
    { key: "state", header: t`State`, cell: (row) => <StateCell noun="cluster" of={row} withAge={false} /> },
    { key: "seen", header: t`Last word`, cell: (row) => <span className="aq-nowrap"><Age at={row.last_seen_at} staleAfterSeconds={40} /></span> },
    { key: "cards", header: t`Cards`, cell: (row) => <ClusterCards cluster={row.id} /> },
    { key: "verbs", header: <span className="aq-hidden">{t`Actions`}</span>, cell: (row) => <VerbMenu noun="cluster" thing={row} verbs={CLUSTER_VERBS} /> },
  ];
  return (
    <Stack>
      <PageHead title={t`Sites`} aside={add} />
      <Panel>
        <QueryTable
          query={clusters}
          columns={columns}
          rowKey={(row) => row.id}
          label={t`Sites`}
          empty={
            <Empty icon={<IconServerOff size={32} aria-hidden />} title={<Trans>No sites yet</Trans>}>
              <Trans>A site is a place with accelerators. Add one: a machine or a Kubernetes cluster joins by one line to run, or is connected directly, and seconds later it shows here.</Trans>
            </Empty>
          }
        />
      </Panel>
      {wasAsked && <Suspense fallback={null}><AddSite isOpen={isAdding} onClose={close} /></Suspense>}
    </Stack>
  );
}
