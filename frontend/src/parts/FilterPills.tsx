/** The filters in force, each with a way to drop it. */
import { useLingui } from "@lingui/react/macro";
import { Badge, Group } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { splitPath } from "./AppLink";

export function FilterPills({ filters }: { filters: (false | "" | undefined | { label: string; path: string })[] }) {
  const { t } = useLingui();
  const shown = filters.filter((filter) => typeof filter === "object");
  if (shown.length === 0) return null;
  return (
    <Group gap="xs" mb="xs">
      {shown.map(({ label, path }) => (
        <Badge
          key={label}
          variant="default"
          size="lg"
          tt="none"
          rightSection={<IconX size={12} aria-hidden />}
          renderRoot={(props) => <Link {...splitPath(path)} {...props} aria-label={t`Drop the filter: ${label}`} />}
        >
          {label}
        </Badge>
      ))}
    </Group>
  );
}
