import { Trans, useLingui } from "@lingui/react/macro";
import { Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Commitment } from "~/api/__generated__";
import { commitmentsHoursOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { formatHours } from "~/lib/format";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { PartsBar } from "~/ui/PartsBar";

/** What became of a reservation's hours: used, unused, and those that are still to come. */
export function ReservedHours({ reservation }: { reservation: Commitment }) {
  const { t, i18n } = useLingui();
  const hours = useQuery(commitmentsHoursOptions({ path: { id: reservation.id } }));
  if (hours.isError && !hours.data) return <ProblemAlert error={hours.error} retry={() => void hours.refetch()} />;
  if (!hours.data) return <Skeleton height={40} />;
  const { reserved, used, unused } = hours.data;
  const open = Math.max(0, Number(reserved) - Number(used) - Number(unused));
  const text = (amount: string | number) => t`${formatHours(amount, i18n.locale)} h`;
  return (
    <div>
      <Text size="sm" mb={4}><Trans>{formatHours(reserved, i18n.locale)} hours reserved in all</Trans></Text>
      <PartsBar
        parts={[
          { name: t`used`, className: "aq-busy", amount: Number(used), text: text(used) },
          { name: t`paid and not used`, className: "aq-idle", amount: Number(unused), text: text(unused) },
          { name: t`still to come, or not charged yet`, className: "aq-free", amount: open, text: text(open) },
        ]}
      />
    </div>
  );
}
