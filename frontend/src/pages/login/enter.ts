import { useQueryClient } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { type Session, sessionLanguagePost } from "~/api/__generated__";
import { sessionQuery } from "~/api/session";
import { activateLocale, chosenLocale, isLocale } from "~/app/i18n";
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
    // A language chosen here counts; else the account's. "en" is what accounts begin with, so it is no choice
    // against a browser that asks for Chinese.
    const { language } = session;
    const chosen = chosenLocale();
    if (chosen && chosen !== language) void sessionLanguagePost({ body: { language: chosen } });
    else if (!chosen && language !== "en" && isLocale(language)) await activateLocale(language);
    router.history.replace(safeNext(next));
  };
}
