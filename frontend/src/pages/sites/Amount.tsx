import { Trans } from "@lingui/react/macro";
import { Text } from "@mantine/core";

/** So much of all is held by us, and so much is used by others. */
export function Amount({ held, others, all, text }: { held: number; others: number; all: number; text: (amount: number) => string }) {
  return (
    <>
      <span className="aq-nowrap">{`${text(held)} / ${text(all)}`}</span>
      {others > 0 && <Text component="span" display="block" size="xs" c="dimmed" className="aq-nowrap"><Trans>others {text(others)}</Trans></Text>}
    </>
  );
}
