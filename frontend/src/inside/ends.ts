import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { End } from "./protocol";

/** Why the way into the work was closed, by the server's code. */
export const ENDS: Record<string, MessageDescriptor> = {
  "not-running": msg`The work is not running.`,
  "not-possible": msg`This work cannot be entered.`,
  "not-offered": msg`This kind of site does not offer it.`,
  unavailable: msg`The site cannot be reached just now.`,
  idle: msg`Closed because nothing was typed for long.`,
  "too-long": msg`Closed because it was open for the longest time allowed.`,
  "access-lost": msg`Your access ended.`,
  moved: msg`The work has a newer attempt.`,
};

/** Where our words alone do not say what to do, those of the site are shown beside them, as they came. */
export const isTelling = (end: End) => (end.code === "not-possible" || end.code === "unavailable") && end.message !== "";
