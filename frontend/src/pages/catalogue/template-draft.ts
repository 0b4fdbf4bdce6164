/** A template as its form holds it: what it says of new work is JSON, as the API takes it. */
import type { NewWorkloadRequest } from "~/api/__generated__";

export interface TemplateDraft {
  name: string;
  description: string;
  /** Empty: everybody's. */
  tenant: string;
  work: string;
}

export type Work = Record<string, unknown>;

export const workText = (work: Work) => JSON.stringify(work, null, 2);

/** What was written, or nothing if it is no JSON object. */
export function readWork(text: string): Work | undefined {
  try {
    const found: unknown = JSON.parse(text.trim() || "{}");
    return typeof found === "object" && found !== null && !Array.isArray(found) ? (found as Work) : undefined;
  } catch {
    return undefined;
  }
}

/** A request as a template keeps it: without what is said with the work itself, and without what is empty anyway. */
export function asTemplate(request: NewWorkloadRequest): Work {
  const { name: _name, project: _project, pool: _pool, ...work } = request;
  return Object.fromEntries(Object.entries(work).filter(([, value]) => !isEmpty(value)));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
