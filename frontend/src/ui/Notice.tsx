/** Something to be told of in the page: with a shape, and colours that read well in both themes. */
import { Group, Paper, Text } from "@mantine/core";
import { IconAlertTriangle, IconCircleX, IconInfoCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";

const SHAPES = { bad: IconCircleX, warning: IconAlertTriangle, busy: IconInfoCircle };

interface Props {
  tone: keyof typeof SHAPES;
  title?: ReactNode;
  children?: ReactNode;
  /** "alert" interrupts who listens; "status" waits for a pause. */
  role?: "alert" | "status";
}

export function Notice({ tone, title, children, role }: Props) {
  const Shape = SHAPES[tone];
  return (
    <Paper withBorder p="sm" role={role} className={`aq-panel aq-notice aq-notice-${tone}`}>
      <Group gap="sm" wrap="nowrap" align="flex-start">
        <Shape size={20} aria-hidden className={`aq-tone-${tone}`} />
        <div>
          {title && <Text size="sm" fw={600}>{title}</Text>}
          {children && <Text size="sm" component="div">{children}</Text>}
        </div>
      </Group>
    </Paper>
  );
}
