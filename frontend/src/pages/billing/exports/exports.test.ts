import { expect, test } from "vitest";
import type { ExportTarget } from "~/api/__generated__";
import { fileHref, fittingFormat, formatsOf, isHere, isInWork, progressOf, targetsFor, tenantOf } from "./exports";

test("workbooks are for line items and card-hours alone", () => {
  expect(formatsOf("line-items")).toContain("xlsx");
  expect(formatsOf("card-hours")).toContain("xlsx");
  expect(formatsOf("focus-1.2")).not.toContain("xlsx");
  expect(formatsOf("focus-1.4")).not.toContain("xlsx");
});

test("a format stays while the kind has it", () => {
  expect(fittingFormat("focus-1.4", "xlsx")).toBe("csv");
  expect(fittingFormat("focus-1.4", "parquet")).toBe("parquet");
  expect(fittingFormat("card-hours", "xlsx")).toBe("xlsx");
});

test("targets are for whom they belong to", () => {
  const targets = [{ id: "a", tenant: null }, { id: "b", tenant: "one" }, { id: "c", tenant: "two" }] as ExportTarget[];
  expect(targetsFor(targets, "").map(({ id }) => id)).toEqual(["a"]);
  expect(targetsFor(targets, "two").map(({ id }) => id)).toEqual(["c"]);
});

test("only the platform has all tenants, and an only tenant need not be chosen", () => {
  expect(tenantOf("", [{ value: "one" }], true)).toBe("");
  expect(tenantOf("", [{ value: "one" }], false)).toBe("one");
  expect(tenantOf("", [{ value: "one" }, { value: "two" }], false)).toBe("");
  expect(tenantOf("two", [{ value: "one" }, { value: "two" }], false)).toBe("two");
});

test("it is never whole before it is done", () => {
  expect(progressOf({ rows: 0, expected_rows: 0 })).toBe(0);
  expect(progressOf({ rows: 50, expected_rows: 200 })).toBe(25);
  expect(progressOf({ rows: 300, expected_rows: 200 })).toBe(99);
});

test("what is at a target, or gone, is not fetched here", () => {
  expect(isHere({ state: "done", target: null })).toBe(true);
  expect(isHere({ state: "done", target: "bucket" })).toBe(false);
  expect(isHere({ state: "expired", target: null })).toBe(false);
  expect([isInWork({ state: "queued" }), isInWork({ state: "running" }), isInWork({ state: "failed" })]).toEqual([true, true, false]);
});

test("a name of a file may have folders", () => {
  expect(fileHref("7", "cost and usage/part-0.csv")).toBe("/api/v1/exports/7/file?name=cost+and+usage%2Fpart-0.csv");
});
