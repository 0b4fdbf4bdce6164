import { Trans } from "@lingui/react/macro";
import { Loader, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { sessionOneTimePostMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { useEnter } from "./enter";
import { LoginFrame } from "./frame";

/** The token stands after the #, so that it reaches no server log; it is used up by this one POST. */
export function OncePage() {
  const enter = useEnter();
  const { mutate, error } = useMutation({ ...sessionOneTimePostMutation(), onSuccess: (session) => enter(session) });
  const isSent = useRef(false);
  // An effect, because this is the one thing a page does by itself when opened; once, though effects may run twice.
  useEffect(() => {
    if (isSent.current) return;
    isSent.current = true;
    const token = location.hash.slice(1);
    history.replaceState(history.state, "", location.pathname);
    mutate({ body: { token } });
  }, [mutate]);
  return (
    <LoginFrame>
      {error ? (
        <>
          <ProblemAlert error={error} />
          <Text size="sm"><Trans>Start Aquifer again for a new link, or sign in with your password.</Trans></Text>
          <AppLink path={pb.login()}><Trans>Sign in with a password</Trans></AppLink>
        </>
      ) : (
        <Loader aria-label="…" />
      )}
    </LoginFrame>
  );
}
