import { useQueryClient } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import type { Session } from "~/api/__generated__";
import { sessionQuery } from "~/api/session";
import { activateLocale, isLocale, rememberLocale } from "~/app/i18n";
import { pb } from "~/lib/path-builder";

/** Only an address of this console: a link from elsewhere must not send people away after they sign in. */
export function safeNext(next: string | undefined): string {
  return next && /^\/(?![/\\])/.test(next) ? next : pb.overview();
}

/** What follows a successful sign-in, however it was done. */
export function useEnter(): (session: Session, next?: string) => Promise<void> {
  const client = useQueryClient();
  const router = useRouter();
  return async (session, next) => {
    client.clear();
    client.setQueryData(sessionQuery.queryKey, session);
    const { language } = session;
    if (isLocale(language)) {
      await activateLocale(language);
      rememberLocale(language);
    }
    router.history.replace(safeNext(next));
  };
}
