/** What the pages of one pool share: its name, and the way from one to the other. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Skeleton, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Pool } from "~/api/__generated__";
import { poolsRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { pb } from "~/lib/path-builder";
import { AppLink, splitPath } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { PageHead } from "~/ui/Panel";

export function PoolFrame({ id, tab, children }: { id: string; tab: "pool" | "what-if"; children: (pool: Pool) => ReactNode }) {
  const { t } = useLingui();
  const can = useCan();
  const query = useQuery(poolsRetrieveOptions({ path: { id } }));
  if (query.isError && !query.data) {
    return (
      <Stack>
        <PageHead title={t`Pool`}><AppLink path={pb.pools()}><Trans>All pools</Trans></AppLink></PageHead>
        <ProblemAlert error={query.error} retry={() => void query.refetch()} />
      </Stack>
    );
  }
  if (!query.data) return <Skeleton height={240} />;
  const pool = query.data;
  const tabs = [
    { key: "pool", path: pb.pool(id), label: t`Pool` },
    ...(can("pool.edit") ? [{ key: "what-if", path: pb.poolWhatIf(id), label: t`What if` }] : []),
  ];
  return (
    <Stack>
      <PageHead title={tab === "pool" ? pool.name : t`What if: ${pool.name}`}>
        <AppLink path={pb.pools()}><Trans>All pools</Trans></AppLink>
      </PageHead>
      <nav className="aq-tabs aq-tabs-flush" aria-label={t`Pages of this pool`}>
        {tabs.map((each) => (
          <Link key={each.key} {...splitPath(each.path)} className="aq-tab" aria-current={tab === each.key ? "page" : undefined} activeOptions={{ exact: true, includeSearch: false }}>
            {each.label}
          </Link>
        ))}
      </nav>
      {children(pool)}
    </Stack>
  );
}
