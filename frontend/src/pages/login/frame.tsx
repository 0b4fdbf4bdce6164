import { Group, Paper, Stack, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { ColourSwitch, LanguageSwitch } from "~/app/switches";
import iconUrl from "~/icon.svg";

export function LoginFrame({ children }: { children: ReactNode }) {
  return (
    <main className="aq-login">
      <Paper className="aq-panel" withBorder p="xl" w="100%" maw={400}>
        <Stack>
          <Group justify="space-between">
            <Group gap="sm">
              <img src={iconUrl} alt="" width={36} height={36} />
              <Title order={1}>Aquifer</Title>
            </Group>
            <Group gap={4}>
              <LanguageSwitch />
              <ColourSwitch />
            </Group>
          </Group>
          {children}
        </Stack>
      </Paper>
    </main>
  );
}
