/** What a period would cost by other prices: what differs, and the way to post it or let it be. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Skeleton, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { Proposal } from "~/api/__generated__";
import { proposalsApproveMutation, proposalsDropMutation, proposalsRetrieveOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { METERS } from "~/lib/billing-words";
import { formatCount, formatMoney } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { formatMoment } from "~/lib/time";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { type Verb, VerbButtons } from "~/parts/Verbs";
import { StateCell, useWord } from "~/parts/words";
import { Facts } from "~/ui/Facts";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { Change } from "./Change";
import { useBooks, useTenants } from "./choices";
import { type DrawnLine, drawnLines } from "./proposal-lines";

const VERBS: Verb[] = [
  {
    name: "approve",
    permission: "invoice.issue",
    mutation: proposalsApproveMutation,
    confirm: <Trans>Each charge that differs is reversed and posted anew, just as shown. It is refused if usage or prices have changed since.</Trans>,
  },
  { name: "drop", permission: "invoice.issue", mutation: proposalsDropMutation, isDangerous: true, confirm: <Trans>All stays as it is.</Trans> },
];

export function ProposalPage() {
  const { t, i18n } = useLingui();
  const { id } = useParams({ from: "/inside/billing/proposals/$id" });
  const { nameOf } = useTenants();
  const { choices: books } = useBooks();
  const query = useQuery(proposalsRetrieveOptions({ path: { id } }));
  if (query.isError && !query.data) return <ProblemAlert error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <Skeleton height={200} />;
  const proposal = query.data;
  const tenant = nameOf(proposal.tenant);
  const name = t`Other prices for ${tenant}`;
  const money = (amount: string) => formatMoney(amount, proposal.currency, i18n.locale);
  return (
    <Stack>
      <PageHead title={name} aside={<VerbButtons noun="proposal" thing={{ ...proposal, name, state: proposal.state ?? "" }} verbs={VERBS} />}>
        <AppLink path={pb.billing({ tab: "rerating" })}><Trans>All proposals</Trans></AppLink>
      </PageHead>
      <Panel>
        <Text size="sm" c="dimmed"><Trans>Difference</Trans></Text>
        <Text className="aq-figure" mb="sm"><Change was={proposal.was} wouldBe={proposal.would_be} currency={proposal.currency} /></Text>
        <Facts
          items={[
            [t`State`, <StateCell key="state" noun="proposal" of={{ ...proposal, state: proposal.state ?? "" }} />],
            [t`By the book`, books.find(({ value }) => value === proposal.book)?.label ?? proposal.book],
            [t`From`, formatMoment(proposal.period_start, i18n.locale)],
            [t`Until`, formatMoment(proposal.period_end, i18n.locale)],
            [t`Was`, money(proposal.was)],
            [t`Would be`, money(proposal.would_be)],
            [t`Charges that would be reversed`, formatCount(proposal.charges ?? 0, i18n.locale)],
            ...(proposal.posted_as ? [[t`Posted as`, proposal.posted_as] as [string, string]] : []),
          ]}
        />
      </Panel>
      <Panel title={<Trans>What differs</Trans>}><Lines proposal={proposal} /></Panel>
    </Stack>
  );
}

function Lines({ proposal }: { proposal: Proposal }) {
  const { t, i18n } = useLingui();
  const word = useWord();
  const money = (amount: string) => formatMoney(amount, proposal.currency, i18n.locale, 2);
  if (proposal.lines.length === 0) return <Empty title={<Trans>Nothing differs</Trans>}><Trans>By these prices the period costs just as much.</Trans></Empty>;
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keyboard
    <div className="aq-scroll" role="region" aria-label={t`What differs`} tabIndex={0}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t`Project`}</Table.Th>
            <Table.Th>{t`What`}</Table.Th>
            <Table.Th>{t`Site`}</Table.Th>
            <Table.Th ta="right">{t`Was`}</Table.Th>
            <Table.Th ta="right">{t`Would be`}</Table.Th>
            <Table.Th ta="right">{t`Difference`}</Table.Th>
            <Table.Th>{t`Before and after`}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {drawnLines(proposal.lines).map((drawn) => {
            const { line } = drawn;
            return (
              <Table.Tr key={[line.project, line.flavor, line.site, line.meter].join("/")}>
                <Table.Td>{line.project}</Table.Td>
                <Table.Td><span className="aq-nowrap">{line.flavor}</span><Text size="xs" c="dimmed">{word(METERS, line.meter)}</Text></Table.Td>
                <Table.Td>{line.site}</Table.Td>
                <Table.Td ta="right"><span className="aq-nowrap">{money(line.was)}</span></Table.Td>
                <Table.Td ta="right"><span className="aq-nowrap">{money(line.would_be)}</span></Table.Td>
                <Table.Td ta="right"><Change was={line.was} wouldBe={line.would_be} currency={proposal.currency} /></Table.Td>
                <Table.Td className="aq-cell-bar"><Bar drawn={drawn} label={`${t`Was`} ${money(line.was)}, ${t`Would be`} ${money(line.would_be)}`} /></Table.Td>
              </Table.Tr>
            );
          })}
        </Table.Tbody>
      </Table>
      <div className="aq-legend aq-gap-above-small">
        <span><svg className="aq-swatch" viewBox="0 0 10 10" aria-hidden><rect className="aq-held" width="10" height="10" /></svg><Trans>stays</Trans></span>
        <span><svg className="aq-swatch" viewBox="0 0 10 10" aria-hidden><rect className="aq-idle" width="10" height="10" /></svg><Trans>would be added</Trans></span>
        <span><svg className="aq-swatch" viewBox="0 0 10 10" aria-hidden><rect className="aq-free" width="10" height="10" /></svg><Trans>would go</Trans></span>
      </div>
    </div>
  );
}

function Bar({ drawn: { stays, changes, isMore }, label }: { drawn: DrawnLine; label: string }) {
  return (
    <svg className="aq-bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={label}>
      <defs>
        <pattern id="aq-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="3" height="6" className="aq-idle-stripe" />
        </pattern>
      </defs>
      <rect className="aq-bar-track" width="1000" height="10" />
      <rect className="aq-held" width={stays} height="10" />
      <rect className={isMore ? "aq-idle" : "aq-free"} x={stays} width={changes} height="10" />
    </svg>
  );
}
