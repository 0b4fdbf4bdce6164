import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Invalidator, isTouched } from "./invalidate";

const query = (name: string, id?: string) => ({ queryKey: [{ _id: name, ...(id ? { path: { id } } : {}) }] });
const ids = new Set(["w1"]);

test("a changed workload touches its own page and the lists, not another workload's page", () => {
  expect(isTouched(query("workloadsRetrieve", "w1"), "workload", ids)).toBe(true);
  expect(isTouched(query("workloadsHistoryList", "w1"), "workload", ids)).toBe(true);
  expect(isTouched(query("workloadsRetrieve", "w2"), "workload", ids)).toBe(false);
  expect(isTouched(query("workloadsList"), "workload", ids)).toBe(true);
  expect(isTouched(query("overviewRetrieve"), "workload", ids)).toBe(true);
  expect(isTouched(query("invoicesList"), "workload", ids)).toBe(false);
});

test("a changed inventory touches the nodes and cards, and the page of its own cluster alone", () => {
  const clusters = new Set(["c1"]);
  for (const name of ["nodesList", "acceleratorsMap", "acceleratorsSummaryList", "overviewGet"]) expect(isTouched(query(name), "inventory", clusters)).toBe(true);
  expect(isTouched(query("clustersRetrieve", "c1"), "inventory", clusters)).toBe(true);
  expect(isTouched(query("clustersRetrieve", "c2"), "inventory", clusters)).toBe(false);
});

test("a topic nobody listed here is its own plural", () => {
  expect(isTouched(query("departmentsList"), "department", ids)).toBe(true);
});

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("a single change is shown at once, a stream of them once a second", () => {
  vi.setSystemTime(1_000_000);
  const client = new QueryClient();
  const invalidate = vi.spyOn(client, "invalidateQueries").mockResolvedValue();
  const invalidator = new Invalidator(client);
  invalidator.changed("workload", "w1");
  vi.advanceTimersByTime(50);
  expect(invalidate).toHaveBeenCalledTimes(1);
  for (let i = 0; i < 45; i++) {
    invalidator.changed("workload", `w${i}`);
    vi.advanceTimersByTime(20);
  }
  expect(invalidate).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1_000);
  expect(invalidate).toHaveBeenCalledTimes(2);
});

test("a stream of inventories is read every five seconds, and holds up nothing else", () => {
  vi.setSystemTime(1_000_000);
  const client = new QueryClient();
  const invalidate = vi.spyOn(client, "invalidateQueries").mockResolvedValue();
  const invalidator = new Invalidator(client);
  invalidator.changed("inventory", "c1");
  vi.advanceTimersByTime(50);
  expect(invalidate).toHaveBeenCalledTimes(1);
  for (let i = 0; i < 40; i++) {
    invalidator.changed("inventory", "c1");
    vi.advanceTimersByTime(100);
  }
  expect(invalidate).toHaveBeenCalledTimes(1);
  invalidator.changed("workload", "w1");
  vi.advanceTimersByTime(50);
  expect(invalidate).toHaveBeenCalledTimes(2);
  vi.advanceTimersByTime(1_000);
  expect(invalidate).toHaveBeenCalledTimes(3);
});
