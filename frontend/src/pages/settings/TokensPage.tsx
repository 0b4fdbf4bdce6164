import { Trans, useLingui } from "@lingui/react/macro";
import { Badge, Button, Code, Group, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconKey, IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import type { Token } from "~/api/__generated__";
import { tokensListInfiniteOptions, tokensRevokeMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatUntil } from "~/lib/time";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { type Verb, VerbMenu } from "~/parts/Verbs";
import { Age } from "~/ui/Age";
import { useNow } from "~/ui/now";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { NewToken } from "./NewToken";

const query = { ...tokensListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };

const VERBS: Verb[] = [
  {
    name: "revoke",
    permission: "token.edit",
    mutation: tokensRevokeMutation,
    isDangerous: true,
    confirm: <Trans>Programs that use it are refused from now on.</Trans>,
  },
];

export function TokensPage() {
  const { t, i18n } = useLingui();
  const now = useNow();
  const tokens = useInfiniteQuery(query);
  const [isMaking, { open, close }] = useDisclosure(false);
  const make = <Button leftSection={<IconPlus size={16} />} onClick={open}><Trans>New token</Trans></Button>;
  const hasEnded = (token: Token) => token.revoked_at !== null || Date.parse(token.expires_at) <= now;
  const columns: Column<Token>[] = [
    { key: "name", header: t`Name`, cell: (row) => <><Text size="sm" fw={600}>{row.name}</Text><Code>{row.prefix}…</Code></> },
    { key: "scopes", header: t`May`, cell: (row) => <Group gap={4} maw={320}>{row.scopes.map((scope) => <Badge key={scope} size="sm" variant="default" tt="none">{scope}</Badge>)}</Group> },
    {
      key: "expires",
      header: t`Ends`,
      cell: (row) => (
        <span className="aq-nowrap">
          {row.revoked_at !== null ? <Trans>revoked</Trans> : hasEnded(row) ? <Trans>expired</Trans> : formatUntil(row.expires_at, i18n.locale, now)}
        </span>
      ),
    },
    { key: "used", header: t`Last used`, cell: (row) => <span className="aq-nowrap"><Age at={row.last_used_at} /></span> },
    {
      key: "verbs",
      header: <span className="aq-hidden">{t`Actions`}</span>,
      // The API offers no list of actions for tokens: one that has ended cannot be revoked again.
      cell: (row) => !hasEnded(row) && <VerbMenu noun="token" thing={{ ...row, state: "", actions: ["revoke"] }} verbs={VERBS} />,
    },
  ];
  return (
    <Stack>
      <PageHead title={t`API tokens`} aside={make}>
        <Text size="sm" c="dimmed"><Trans>Keys for programs. Each may do no more than you may, and less if you say so.</Trans></Text>
      </PageHead>
      <Panel>
        <QueryTable
          query={tokens}
          columns={columns}
          rowKey={(row) => row.id}
          label={t`API tokens`}
          empty={<Empty icon={<IconKey size={32} aria-hidden />} title={<Trans>No tokens yet</Trans>}><Trans>Make one to call the API from a program.</Trans></Empty>}
        />
      </Panel>
      {isMaking && <NewToken onClose={close} />}
    </Stack>
  );
}
