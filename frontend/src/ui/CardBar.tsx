/** A number of cards is never shown bare: how much of it is held, and of that how much works. */
import { useLingui } from "@lingui/react/macro";
import { Group, Text } from "@mantine/core";
import { formatMilliShort } from "~/lib/format";

interface Props {
  totalMilli: number;
  heldMilli: number;
  /** Of what is held; null where nothing is measured. */
  busyMilli: number | null;
  idleMilli: number | null;
  /** Used by work that is not ours. */
  foreignMilli?: number;
  freeMilli: number;
  unhealthyMilli?: number;
  showNumbers?: boolean;
}

export function CardBar({ totalMilli, heldMilli, busyMilli, idleMilli, foreignMilli = 0, freeMilli, unhealthyMilli = 0, showNumbers = true }: Props) {
  const { t, i18n } = useLingui();
  const number = (milli: number) => formatMilliShort(milli, i18n.locale);
  const measured = (busyMilli ?? 0) + (idleMilli ?? 0);
  const parts = [
    { name: t`busy`, className: "aq-busy", milli: busyMilli ?? 0 },
    { name: t`held, idle`, className: "aq-idle", milli: idleMilli ?? 0 },
    { name: t`held`, className: "aq-held", milli: Math.max(0, heldMilli - measured) },
    { name: t`others`, className: "aq-foreign", milli: foreignMilli },
    { name: t`free`, className: "aq-free", milli: freeMilli },
    { name: t`unhealthy`, className: "aq-unhealthy", milli: unhealthyMilli },
  ].filter((part) => part.milli > 0);
  return (
    <div>
      <svg className="aq-bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={parts.map((part) => `${part.name} ${number(part.milli)}`).join(", ")}>
        <defs>
          <pattern id="aq-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="3" height="6" className="aq-idle-stripe" />
          </pattern>
          <pattern id="aq-rows" width="6" height="3" patternUnits="userSpaceOnUse">
            <rect width="6" height="2" className="aq-foreign-stripe" />
          </pattern>
        </defs>
        <rect className="aq-bar-track" width="1000" height="10" />
        {parts.map((part, at) => {
          const x = totalMilli ? (1000 * parts.slice(0, at).reduce((sum, each) => sum + each.milli, 0)) / totalMilli : 0;
          const width = totalMilli ? (1000 * part.milli) / totalMilli : 0;
          return <rect key={part.name} className={part.className} x={x} width={Math.max(0, width - 2)} height="10" />;
        })}
      </svg>
      {showNumbers && (
        <Group gap="4px 12px" mt={4}>
          {parts.map((part) => (
            <Group key={part.name} gap={5} wrap="nowrap">
              <svg className="aq-swatch" viewBox="0 0 10 10" aria-hidden><rect className={part.className} width="10" height="10" /></svg>
              <Text size="xs">{part.name} <strong>{number(part.milli)}</strong></Text>
            </Group>
          ))}
        </Group>
      )}
    </div>
  );
}
