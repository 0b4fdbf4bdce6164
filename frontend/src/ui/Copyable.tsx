import { useLingui } from "@lingui/react/macro";
import { ActionIcon, Code, CopyButton, Group, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";

/** A line to copy whole: a command, a secret, an id. */
export function Copyable({ value, label }: { value: string; label: string }) {
  const { t } = useLingui();
  return (
    <Group gap="xs" wrap="nowrap" align="flex-start">
      <Code block className="aq-copyable">{value}</Code>
      <CopyButton value={value} timeout={2000}>
        {({ copied, copy }) => (
          <Tooltip label={copied ? t`Copied` : t`Copy`}>
            <ActionIcon variant="default" size="lg" onClick={copy} aria-label={copied ? t`Copied` : t`Copy ${label}`}>
              {copied ? <IconCheck size={18} /> : <IconCopy size={18} />}
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </Group>
  );
}
