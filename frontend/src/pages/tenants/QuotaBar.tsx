/** A quota in its zones: what is held of the guaranteed share, and what is borrowed beyond it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Group, Text } from "@mantine/core";
import { formatMilli } from "~/lib/format";
import type { QuotaAmounts } from "./sum-quotas";

export function QuotaBar({ quota }: { quota: QuotaAmounts }) {
  const { t, i18n } = useLingui();
  const number = (milli: number) => formatMilli(milli, i18n.locale);
  const scale = Math.max(quota.limit_milli, quota.held_milli, 1);
  const part = (milli: number) => (1000 * milli) / scale;
  const own = Math.min(quota.held_milli, quota.nominal_milli);
  const borrowed = quota.held_milli - own;
  const name = `${quota.flavor}: ${number(quota.held_milli)} / ${number(quota.limit_milli)}`;
  return (
    <div className="aq-quota">
      <Group justify="space-between" gap="xs" wrap="nowrap">
        <Text size="xs" fw={600} truncate>{quota.flavor}</Text>
        <Text size="xs" className="aq-nowrap">
          {number(quota.held_milli)} / {number(quota.limit_milli)}
          {quota.unit === "core" && <>{" "}<Trans>cores</Trans></>}
        </Text>
      </Group>
      <svg className="aq-bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={borrowed > 0 ? t`${name}, borrowed ${number(borrowed)}` : name}>
        <defs>
          <pattern id="aq-lines" width="8" height="10" patternUnits="userSpaceOnUse"><rect width="5" height="10" className="aq-borrowed-stripe" /></pattern>
        </defs>
        <rect className="aq-bar-track" width="1000" height="10" />
        <rect className="aq-busy" width={part(own)} height="10" />
        {borrowed > 0 && <rect className="aq-borrowed" x={part(quota.nominal_milli)} width={part(borrowed)} height="10" />}
        {quota.borrowing_limit_milli > 0 && <rect className="aq-bar-mark" x={part(quota.nominal_milli) - 2} width="4" height="10" />}
      </svg>
      {borrowed > 0 && <Text size="xs" c="dimmed"><Trans>{number(borrowed)} borrowed</Trans></Text>}
    </div>
  );
}
