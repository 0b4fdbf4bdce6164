import { Group, Text } from "@mantine/core";
import {
  IconAlertTriangleFilled,
  IconCircleCheckFilled,
  IconCircleDashed,
  IconCircleMinus,
  IconCircleXFilled,
  IconProgress,
} from "@tabler/icons-react";
import type { Tone } from "~/lib/words";

const SHAPES = {
  good: IconCircleCheckFilled,
  busy: IconProgress,
  waiting: IconCircleDashed,
  warning: IconAlertTriangleFilled,
  bad: IconCircleXFilled,
  ended: IconCircleMinus,
};

/** A state: its own shape, its own colour, its word. */
export function StateMark({ tone, label }: { tone: Tone; label: string }) {
  const Shape = SHAPES[tone];
  return (
    <Group gap={6} wrap="nowrap" display="inline-flex">
      <Shape size={16} aria-hidden className={`aq-tone-${tone}`} />
      <Text component="span" size="sm" fw={500} className="aq-nowrap">{label}</Text>
    </Group>
  );
}
