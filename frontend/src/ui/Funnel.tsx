/** What is left after each step, from all to none: a bar for each, what a step took away hatched at its end. */
import { Trans, useLingui } from "@lingui/react/macro";
import { formatCount } from "~/lib/format";

export interface Step {
  key: string;
  label: string;
  removed: number;
}

export function Funnel({ steps, label }: { steps: Step[]; label: string }) {
  const { i18n } = useLingui();
  const count = (number: number) => formatCount(number, i18n.locale);
  const all = steps.reduce((sum, step) => sum + step.removed, 0);
  const rows = steps.map((step, at) => ({ ...step, left: all - steps.slice(0, at + 1).reduce((sum, each) => sum + each.removed, 0) }));
  return (
    <div className="aq-contain">
      <ol className="aq-funnel" aria-label={label}>
        <li>
          <span><Trans>all nodes of the pool</Trans></span>
          <Bar all={all} left={all} removed={0} />
          <span className="aq-funnel-count"><strong>{count(all)}</strong></span>
        </li>
        {rows.map((row) => (
          <li key={row.key}>
            <span>{row.label}</span>
            <Bar all={all} left={row.left} removed={row.removed} />
            <span className="aq-funnel-count">−{count(row.removed)} <span aria-hidden>→</span> <strong><Trans>{count(row.left)} left</Trans></strong></span>
          </li>
        ))}
      </ol>
    </div>
  );
}

/** A step that took away one of thousands is still to be seen. */
const LEAST = 4;

function Bar({ all, left, removed }: { all: number; left: number; removed: number }) {
  const part = (count: number) => (all ? (1000 * count) / all : 0);
  const width = removed ? Math.max(LEAST, part(removed)) : 0;
  const start = Math.min(part(left), 1000 - width);
  return (
    <svg className="aq-bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden>
      <defs>
        <pattern id="aq-gone" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="3" height="6" className="aq-gone-stripe" /></pattern>
      </defs>
      <rect className="aq-bar-track" width="1000" height="10" />
      <rect className="aq-busy" width={start} height="10" />
      <rect className="aq-gone" x={start} width={width} height="10" />
    </svg>
  );
}
