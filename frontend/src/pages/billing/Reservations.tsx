/** Reservations: so much of a flavor for a term, paid whether used or not, and what became of their hours. */
import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Group, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown, IconChevronRight, IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Commitment } from "~/api/__generated__";
import { commitmentsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { formatMilli, formatMoney } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { formatMoment } from "~/lib/time";
import { AppLink } from "~/parts/AppLink";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { useNow } from "~/ui/now";
import { Empty } from "~/ui/Panel";
import { StateMark } from "~/ui/StateMark";
import { useTenants } from "./choices";
import { NewReservation } from "./NewReservation";
import { ReservedHours } from "./ReservedHours";

const query = { ...commitmentsListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };

export function Reservations() {
  const { t, i18n } = useLingui();
  const can = useCan();
  const { nameOf } = useTenants();
  const reservations = useInfiniteQuery(query);
  const [opened, setOpened] = useState<string>();
  const [isSelling, { open, close }] = useDisclosure(false);
  const columns: Column<Commitment>[] = [
    {
      key: "what",
      header: t`Reserved`,
      cell: (row) => {
        const what = `${formatMilli(row.held_milli, i18n.locale)} × ${row.flavor}`;
        return (
          <Group gap={4} wrap="nowrap">
            <ActionIcon variant="subtle" color="gray" size="sm" aria-expanded={row.id === opened} aria-label={t`Hours of ${what}`} onClick={() => setOpened(row.id === opened ? undefined : row.id)}>
              {row.id === opened ? <IconChevronDown size={16} /> : <IconChevronRight size={16} />}
            </ActionIcon>
            <div>
              <Text size="sm" fw={600} className="aq-nowrap">{what}</Text>
              <Text size="xs" c="dimmed">{row.site || <Trans>any site</Trans>}</Text>
            </div>
          </Group>
        );
      },
    },
    { key: "tenant", header: t`Tenant`, cell: (row) => <AppLink path={pb.tenant(row.tenant)}>{nameOf(row.tenant)}</AppLink> },
    { key: "state", header: t`State`, cell: (row) => <When of={row} /> },
    { key: "price", header: t`Price`, align: "right", cell: (row) => <span className="aq-nowrap">{formatMoney(row.unit_price, row.currency, i18n.locale)} <Trans>an hour of each</Trans></span> },
    { key: "from", header: t`From`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.start_at, i18n.locale)}</span> },
    { key: "to", header: t`Until`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.end_at, i18n.locale)}</span> },
  ];
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text size="sm" c="dimmed"><Trans>Usage that a reservation covers costs nothing more; hours nobody used are paid all the same.</Trans></Text>
        {can("price.edit") && <Button size="xs" leftSection={<IconPlus size={14} />} onClick={open}><Trans>Sell a reservation</Trans></Button>}
      </Group>
      <QueryTable
        query={reservations}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Reservations`}
        detail={(row) => row.id === opened && <ReservedHours reservation={row} />}
        empty={<Empty title={<Trans>No reservations yet</Trans>}><Trans>Everything is paid by what is used.</Trans></Empty>}
      />
      {isSelling && <NewReservation onClose={close} />}
    </>
  );
}

function When({ of: { start_at, end_at } }: { of: Commitment }) {
  const { t } = useLingui();
  const now = useNow();
  if (Date.parse(end_at) <= now) return <StateMark tone="ended" label={t`Ended`} />;
  return Date.parse(start_at) > now ? <StateMark tone="waiting" label={t`Planned`} /> : <StateMark tone="good" label={t`Runs`} />;
}
