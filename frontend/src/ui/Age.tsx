import { useLingui } from "@lingui/react/macro";
import { Text, type TextProps } from "@mantine/core";
import { IconClockExclamation } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { formatAge, formatMoment, secondsSince } from "~/lib/time";
import { useNow } from "./now";

interface Props extends TextProps {
  at: string | null | undefined;
  /** Older than this is marked as stale, with a sign and not by colour alone. */
  staleAfterSeconds?: number;
  never?: ReactNode;
}

/** How old a figure is; the exact moment on hover. */
export function Age({ at, staleAfterSeconds, never, ...text }: Props) {
  const { t, i18n } = useLingui();
  const now = useNow();
  if (!at) return <Text component="span" size="sm" c="dimmed" {...text}>{never ?? t`never`}</Text>;
  const isStale = staleAfterSeconds !== undefined && secondsSince(at, now) > staleAfterSeconds;
  return (
    <Text component="span" size="sm" c={isStale ? undefined : "dimmed"} className={isStale ? "aq-stale" : undefined} {...text}>
      {isStale && <IconClockExclamation size={14} aria-label={t`Old`} className="aq-inline-icon" />}
      <time dateTime={at} title={formatMoment(at, i18n.locale)}>{formatAge(at, i18n.locale, now)}</time>
    </Text>
  );
}
