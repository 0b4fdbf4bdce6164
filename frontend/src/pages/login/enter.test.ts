import { expect, test } from "vitest";
import { safeNext } from "./enter";

test.each([
  [undefined, "/"],
  ["", "/"],
  ["/workloads?state=queued", "/workloads?state=queued"],
  ["https://elsewhere.example/", "/"],
  ["//elsewhere.example/", "/"],
  ["/\\elsewhere.example/", "/"],
  ["javascript:alert(1)", "/"],
])("after signing in, %s leads to %s", (next, leads) => {
  expect(safeNext(next)).toBe(leads);
});
