/** Codes of the API shown as words of the reader's language. */
import { useLingui } from "@lingui/react/macro";
import { Group, Text } from "@mantine/core";
import type { MessageDescriptor } from "@lingui/core";
import { PLAIN_REASONS, REASONS } from "~/lib/reasons";
import { STATES } from "~/lib/words";
import { Age } from "~/ui/Age";
import { StateMark } from "~/ui/StateMark";

/** A code nobody has words for is shown as it came, never hidden. */
export function useWord(): (words: Record<string, MessageDescriptor>, code: string) => string {
  const { i18n } = useLingui();
  return (words, code) => {
    const known = words[code];
    return known ? i18n._(known) : code;
  };
}

export function useReason(): (code: string) => string {
  const { i18n } = useLingui();
  return (code) => {
    const known = REASONS[code];
    return known ? i18n._(known.headline) : code;
  };
}

export function useStateWord(): (noun: string, state: string) => string {
  const { i18n } = useLingui();
  return (noun, state) => {
    const known = STATES[noun]?.[state];
    return known ? i18n._(known.label) : state;
  };
}

interface Stateful {
  state: string;
  reason?: string;
  state_since?: string;
}

/** A state with how long it has been so, and its reason in plain words where that says more. */
export function StateCell({ noun, of, withAge = true }: { noun: string; of: Stateful; withAge?: boolean }) {
  const word = useStateWord();
  const reason = useReason();
  return (
    <div>
      <Group gap={8} wrap="nowrap">
        <StateMark tone={STATES[noun]?.[of.state]?.tone ?? "waiting"} label={word(noun, of.state)} />
        {withAge && of.state_since && <Age at={of.state_since} size="xs" className="aq-nowrap" />}
      </Group>
      {of.reason && !PLAIN_REASONS.has(of.reason) && <Text size="xs" c="dimmed" maw={280}>{reason(of.reason)}</Text>}
    </div>
  );
}
