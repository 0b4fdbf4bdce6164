import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";
import { Button, Text } from "@mantine/core";
import { Problem } from "~/api/problem";
import { Notice } from "~/ui/Notice";

/** Titles by code, which never changes its meaning; `detail` is the server's own sentence about this case. */
const TITLES: Record<string, MessageDescriptor> = {
  "no-answer": msg`The server does not answer`,
  "server-error": msg`The server failed`,
  "database-unavailable": msg`The database cannot be reached just now`,
  "bad-request": msg`The request cannot be carried out`,
  invalid: msg`Some of what was sent is not valid`,
  "not-authenticated": msg`Sign in first`,
  "csrf-failed": msg`This page is out of date; load it again`,
  "storage-full": msg`The server's disk is full`,
  "too-large": msg`The request is too large`,
  "too-many-requests": msg`Too many requests; wait a moment`,
  "idempotency-key-reused": msg`This was sent already with other content; load the page again`,
  "version-required": msg`This has changed since you read it`,
  "not-found": msg`There is no such thing here`,
  "not-allowed": msg`Your role does not allow this`,
  "illegal-transition": msg`Not possible in the present state`,
  "concurrent-update": msg`Somebody else changed this at the same moment; look again`,
  conflict: msg`This clashes with what is there`,
  "version-stale": msg`This has changed since you read it`,
  "login-failed": msg`Name or password is wrong`,
  "too-many-attempts": msg`Too many failed attempts; wait a few minutes`,
  "bad-credential": msg`This link or token is not valid, has expired or was used already`,
  "over-capacity": msg`There is not that much free any more`,
};

export function useProblemText(): (error: unknown) => { title: string; detail: string } {
  const { t, i18n } = useLingui();
  return (error) => {
    if (!(error instanceof Problem)) return { title: t`Something went wrong in this page`, detail: String(error) };
    const known = TITLES[error.code];
    const title = known ? i18n._(known) : error.title || t`The request cannot be carried out`;
    return { title, detail: error.detail === error.title || error.code === "no-answer" ? "" : error.detail };
  };
}

export function ProblemAlert({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useLingui();
  const { title, detail } = useProblemText()(error);
  return (
    <Notice tone="bad" title={title} role="alert">
      {detail && <Text size="sm">{detail}</Text>}
      {retry && <Button size="xs" mt="xs" variant="default" onClick={retry}>{t`Try again`}</Button>}
    </Notice>
  );
}
