import { Trans, useLingui } from "@lingui/react/macro";
import { Code, Skeleton, Stack } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { Workload } from "~/api/__generated__";
import { allocationsListInfiniteOptions, workloadsRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatMemory, formatMilli } from "~/lib/format";
import { formatLength, secondsSince } from "~/lib/time";
import { pb } from "~/lib/path-builder";
import { WORKLOAD_KINDS } from "~/lib/words";
import { AllocationTable } from "~/pages/allocations/AllocationsPage";
import { WORKLOAD_VERBS } from "~/pages/workloads/verbs";
import { Wants } from "~/pages/workloads/WorkloadsPage";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { byCursor } from "~/parts/QueryTable";
import { VerbButtons } from "~/parts/Verbs";
import { useWord } from "~/parts/words";
import { Age } from "~/ui/Age";
import { Facts } from "~/ui/Facts";
import { useNow } from "~/ui/now";
import { PageHead, Panel } from "~/ui/Panel";
import { History } from "./History";
import { LiveFigures } from "./LiveFigures";
import { Logs } from "./Logs";
import { Ports } from "./Ports";
import { Shell } from "./Shell";
import { SiteNotes } from "./SiteNotes";
import { useTermFacts } from "./terms";
import { Why } from "./Why";

export function WorkloadPage() {
  const { id } = useParams({ from: "/inside/workloads/$id" });
  const query = useQuery(workloadsRetrieveOptions({ path: { id } }));
  const allocations = useInfiniteQuery({ ...allocationsListInfiniteOptions({ query: { workload: id } }), ...byCursor });
  if (query.isError && !query.data) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Skeleton height={240} />;
  const workload = query.data;
  const grants = allocations.data?.pages.flatMap((page) => page.results) ?? [];
  const active = grants.filter((grant) => grant.state === "active");
  return (
    <Stack>
      <PageHead title={workload.name} aside={<VerbButtons noun="workload" thing={workload} verbs={WORKLOAD_VERBS} />}>
        <AppLink path={pb.workloads({ project: workload.project })}>{workload.tenant_name} · {workload.project_name}</AppLink>
      </PageHead>
      <div className="aq-two">
        <Stack>
          <Why workload={workload} />
          {active.length > 0 && <LiveFigures allocations={active} />}
          <Logs key={workload.id} workload={workload} />
          <Shell key={`shell ${workload.id}`} workload={workload} />
          <Ports workload={workload} />
          <Panel title={<Trans>Where it ran and runs</Trans>}><AllocationTable query={allocations} withWorkload={false} /></Panel>
        </Stack>
        <Stack>
          <Panel title={<Trans>What it asks for</Trans>}><Request workload={workload} /></Panel>
          <SiteNotes key={workload.id} workload={workload} />
          <Panel title={<Trans>History</Trans>}><History workload={workload} /></Panel>
        </Stack>
      </div>
    </Stack>
  );
}

function Request({ workload }: { workload: Workload }) {
  const { t, i18n } = useLingui();
  const word = useWord();
  const terms = useTermFacts(workload);
  const minutes = (seconds: number | null) => (seconds === null ? "–" : formatLength(seconds, i18n.locale));
  return (
    <Facts
      items={[
        [t`Kind`, word(WORKLOAD_KINDS, workload.kind)],
        [t`Accelerators`, workload.accelerators > 0 ? <Wants key="wants" workload={workload} /> : "–"],
        [t`CPU cores`, formatMilli(workload.cpu_milli, i18n.locale)],
        [t({ message: "Memory", context: "of a machine" }), formatMemory(workload.memory_mib, i18n.locale)],
        [t`Pool`, workload.pool_name],
        [t`Priority`, workload.priority],
        [t`Time limit`, minutes(workload.max_seconds)],
        [t`Retries`, `${workload.retries} / ${workload.max_retries}`],
        [t`Submitted by`, workload.submitted_by],
        [t`Submitted`, <Age key="at" at={workload.created_at} />],
        [t`Ran`, <Ran key="ran" workload={workload} />],
        ...terms,
        ...(workload.exit_code === null ? [] : [[t`Exit code`, workload.exit_code] as [string, number]]),
        ...(workload.image ? [[t`Image`, workload.image] as [string, string]] : []),
        ...(workload.command.length ? ([[t`Command`, <Code key="command">{workload.command.join(" ")}</Code>]] as [string, React.ReactNode][]) : []),
      ]}
    />
  );
}

function Ran({ workload }: { workload: Workload }) {
  const { i18n } = useLingui();
  const now = useNow();
  if (!workload.started_at) return "–";
  const end = workload.finished_at ? Date.parse(workload.finished_at) : now;
  return formatLength(secondsSince(workload.started_at, end), i18n.locale);
}
