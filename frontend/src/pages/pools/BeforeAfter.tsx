/** How many wait, before and after, and what becomes of what is new or displaced: each as a bar beside its number. */
import { useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import type { ReactNode } from "react";
import type { Result } from "~/api/__generated__";
import { formatCount } from "~/lib/format";

interface Figure {
  label: string;
  value: number;
  className: string;
}

export function BeforeAfter({ result }: { result: Result }) {
  const { t } = useLingui();
  const waits = (total: number, placed: number): Figure[] => [
    { label: t`would start`, value: placed, className: "aq-busy" },
    { label: t`would wait`, value: total - placed, className: "aq-held" },
  ];
  return (
    <div className="aq-befores">
      <Tile title={t`What waits today`} figures={[{ label: t`now`, value: result.waiting_before, className: "aq-held" }, { label: t`then`, value: result.waiting_after, className: "aq-busy" }]} />
      {result.new > 0 && <Tile title={t`New work`} figures={waits(result.new, result.new_placed)} />}
      {result.displaced > 0 && <Tile title={t`Displaced`} figures={waits(result.displaced, result.displaced_placed)} />}
    </div>
  );
}

function Tile({ title, figures }: { title: ReactNode; figures: Figure[] }) {
  const { i18n } = useLingui();
  const most = Math.max(1, ...figures.map((each) => each.value));
  return (
    <div>
      <Text size="xs" c="dimmed" mb={2}>{title}</Text>
      <dl className="aq-figures">
        {figures.map(({ label, value, className }) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>
              <svg className="aq-bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden>
                <rect className="aq-bar-track" width="1000" height="10" />
                <rect className={className} width={(1000 * value) / most} height="10" />
              </svg>
              <strong>{formatCount(value, i18n.locale)}</strong>
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
