/** Candidates by their scores: a bar for each, in parts with a legend where the parts are known. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import type { ReactNode } from "react";
import { layOut, readingOf, type Scored } from "./scores";

export interface ScoredRow extends Scored {
  key: string;
  label: ReactNode;
}

interface Props {
  rows: ScoredRow[];
  label: string;
  /** The words for a part. */
  nameOf: (part: string) => string;
}

const COLOURS = 8;

export function ScoreBars({ rows, label, nameOf }: Props) {
  const { t, i18n } = useLingui();
  const format = new Intl.NumberFormat(i18n.locale, { maximumFractionDigits: 3 });
  const bars = layOut(rows);
  const names = [...new Set(rows.flatMap((row) => row.parts.map(([name]) => name)))];
  const colour = (name: string) => (name === "" ? "aq-busy" : `aq-part-${names.indexOf(name) % COLOURS}`);
  return (
    <div className="aq-contain">
      <ol className="aq-scores" aria-label={label}>
        {rows.map((row, at) => (
          <li key={row.key}>
            <span>{row.label}</span>
            <svg
              className="aq-bar"
              viewBox="0 0 1000 10"
              preserveAspectRatio="none"
              role="img"
              aria-label={row.parts.map(([name, points]) => `${nameOf(name)} ${format.format(points)}`).join(", ") || t`Score ${format.format(row.score)}`}
            >
              <rect className="aq-bar-track" width="1000" height="10" />
              {bars.rows[at]?.map((part) => (
                <rect key={part.name} className={colour(part.name)} x={part.x} width={Math.max(0, part.width - (names.length > 1 ? 2 : 0))} height="10">
                  {part.name && <title>{`${nameOf(part.name)} ${format.format(part.points)}`}</title>}
                </rect>
              ))}
              {bars.zero > 0 && bars.zero < 1000 && <rect className="aq-bar-mark" x={bars.zero - 1} width="2" height="10" />}
            </svg>
            <span className="aq-score">{format.format(row.score)}</span>
          </li>
        ))}
      </ol>
      {names.length > 0 && (
        <div className="aq-legend aq-gap-above-small">
          {names.map((name) => (
            <span key={name}><svg className="aq-swatch" viewBox="0 0 10 10" aria-hidden><rect className={colour(name)} width="10" height="10" /></svg>{nameOf(name)}</span>
          ))}
        </div>
      )}
      <Text size="xs" c="dimmed" mt={4}><Reading rows={rows} /></Text>
    </div>
  );
}

function Reading({ rows }: { rows: ScoredRow[] }) {
  if (rows.length < 2) return null;
  switch (readingOf(rows)) {
    case "equal":
      return <Trans>All scored the same: the first in order was taken.</Trans>;
    case "gains":
      return <Trans>Points: the longer the bar, the better.</Trans>;
    case "losses":
      return <Trans>Points lost: the shorter the bar, the better.</Trans>;
    default:
      return <Trans>Points: what counts for a node lies right of the line, what counts against it left.</Trans>;
  }
}
