import { Group, Paper, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

interface Props {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
}

export function Panel({ title, aside, children }: Props) {
  return (
    <Paper component="section" p="md" withBorder className="aq-panel">
      {(title || aside) && (
        <Group justify="space-between" mb="sm" gap="xs">
          {title && <Title order={2} size="h2">{title}</Title>}
          {aside}
        </Group>
      )}
      {children}
    </Paper>
  );
}

/** An empty place says what to do next. */
export function Empty({ icon, title, children }: { icon?: ReactNode; title: ReactNode; children?: ReactNode }) {
  return (
    <div className="aq-empty">
      {icon}
      <Text fw={600}>{title}</Text>
      <Text component="div" size="sm" c="dimmed">{children}</Text>
    </div>
  );
}

export function PageHead({ title, aside, children }: { title: string; aside?: ReactNode; children?: ReactNode }) {
  return (
    <div>
      <title>{`${title} · Aquifer`}</title>
      <Group justify="space-between" align="flex-start" gap="sm">
        <Title order={1}>{title}</Title>
        {aside && <Group gap="xs">{aside}</Group>}
      </Group>
      {children}
    </div>
  );
}
