/** One tab per state, each a link, so that what is looked at stands in the address. */
import { useLingui } from "@lingui/react/macro";
import { Badge } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { formatCount } from "~/lib/format";
import { splitPath } from "./AppLink";
import { useStateWord } from "./words";

interface Props {
  noun: string;
  states: string[];
  current: string | undefined;
  counts?: Record<string, number>;
  path: (state: string | undefined) => string;
}

export function StateTabs({ noun, states, current, counts, path }: Props) {
  const { t, i18n } = useLingui();
  const word = useStateWord();
  const total = counts && Object.values(counts).reduce((sum, count) => sum + count, 0);
  return (
    <nav className="aq-tabs" aria-label={t`States`}>
      {[undefined, ...states].map((state) => {
        const count = state === undefined ? total : counts && (counts[state] ?? 0);
        return (
          <Link key={state ?? "all"} {...splitPath(path(state))} className="aq-tab" aria-current={current === state ? "page" : undefined} activeOptions={{ exact: true }}>
            {state === undefined ? t`All` : word(noun, state)}
            {count !== undefined && <Badge size="sm" variant="default" ml={6}>{formatCount(count, i18n.locale)}</Badge>}
          </Link>
        );
      })}
    </nav>
  );
}
