/** What can be asked for, and how far it is. */
import type { Export, ExportFormat, ExportKind, ExportTarget } from "~/api/__generated__";
import { withQuery } from "~/lib/path-builder";

const FORMATS: readonly ExportFormat[] = ["csv", "jsonl", "parquet", "parquet-float"];

/** Workbooks are for people; FOCUS is for programs. */
export function formatsOf(kind: ExportKind): readonly ExportFormat[] {
  return kind === "line-items" || kind === "card-hours" ? ["xlsx", ...FORMATS] : FORMATS;
}

/** The format that stays chosen when the kind changes, or the first that the new kind has. */
export function fittingFormat(kind: ExportKind, format: ExportFormat): ExportFormat {
  const formats = formatsOf(kind);
  return formats.includes(format) ? format : (formats[0] ?? "csv");
}

/** A target takes the exports of whom it belongs to alone; "" is the platform. */
export function targetsFor(targets: readonly ExportTarget[], tenant: string): ExportTarget[] {
  return targets.filter((target) => (target.tenant ?? "") === tenant);
}

/** The platform may have all tenants; others choose one, and need not when there is only one. */
export function tenantOf(chosen: string, tenants: readonly { value: string }[], isOfPlatform: boolean): string {
  if (chosen || isOfPlatform) return chosen;
  return tenants.length === 1 ? (tenants[0]?.value ?? "") : "";
}

export const isInWork = ({ state }: Pick<Export, "state">) => state === "queued" || state === "running";

/** In per cent. How many rows there will be is known about only: it is not whole before it is done. */
export function progressOf({ rows, expected_rows }: Pick<Export, "rows" | "expected_rows">): number {
  return expected_rows > 0 ? Math.min(99, Math.floor((100 * rows) / expected_rows)) : 0;
}

/** Only what was not sent elsewhere, and is still kept, can be fetched here. */
export const isHere = ({ state, target }: Pick<Export, "state" | "target">) => state === "done" && target === null;

export const fileHref = (id: string, name: string) => withQuery(`/api/v1/exports/${encodeURIComponent(id)}/file`, { name });
