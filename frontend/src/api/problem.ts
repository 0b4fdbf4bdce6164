/** What went wrong, as the server tells it (RFC 9457), or as the browser does when nobody answered. */
export interface FieldError {
  pointer: string;
  detail: string;
  code: string;
}

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly errors: FieldError[];

  constructor(parts: { status: number; code: string; title?: string; detail?: string; errors?: FieldError[] }) {
    super(parts.detail || parts.title || parts.code);
    this.name = "Problem";
    this.status = parts.status;
    this.code = parts.code;
    this.title = parts.title ?? "";
    this.detail = parts.detail ?? "";
    this.errors = parts.errors ?? [];
  }
}

/** `status` 0: no answer at all. */
export function toProblem(error: unknown, status: number): Problem {
  if (error instanceof Problem) return error;
  if (status === 0) return new Problem({ status: 0, code: "no-answer", detail: error instanceof Error ? error.message : "" });
  if (typeof error === "object" && error !== null && "code" in error && typeof error.code === "string") {
    return new Problem({ ...(error as { code: string }), status });
  }
  return new Problem({ status, code: status >= 500 ? "server-error" : "bad-request" });
}

/** The first error of each field, for a form: "/accelerators" -> "accelerators", "/command/0" -> "command". */
export function fieldErrors(error: unknown): Record<string, string> {
  if (!(error instanceof Problem)) return {};
  const found: Record<string, string> = {};
  for (const { pointer, detail } of error.errors) {
    const field = pointer.split("/")[1];
    if (field && !(field in found)) found[field] = detail;
  }
  return found;
}
