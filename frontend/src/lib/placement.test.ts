/** The words are for what the back end knows, so they are compared with it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { messages as chinese } from "~/locales/zh-Hans/messages.po";
import { FILTERS, OBJECTIVES, ORDERS, PARTS, POLICIES } from "./placement";

const FEDERATION = join(import.meta.dirname, "../../../federation");

/** The values of a class of choices. */
function valuesOf(file: string, name: string): string[] {
  const text = readFileSync(join(FEDERATION, file), "utf-8");
  const [, body = ""] = new RegExp(`^class ${name}\\(.*?\\):\\n(.*?)(?=^\\S|(?![\\s\\S]))`, "ms").exec(text) ?? [];
  return [...body.matchAll(/^ {4}[A-Z_]+ = "([a-z-]+)"/gm)].map(([, value = ""]) => value);
}

test("every filter has words, and they stand in the order in which filters are asked", () => {
  const filters = valuesOf("placement/filters.py", "Filter");
  expect(filters.length).toBeGreaterThan(5);
  expect(Object.keys(FILTERS).filter((name) => filters.includes(name))).toEqual(filters);
});

test("every order of a pool has a title and a description", () => {
  const orders = valuesOf("models/inventory.py", "QueueOrder");
  expect(orders.length).toBeGreaterThan(1);
  expect(orders.filter((name) => !(name in ORDERS))).toEqual([]);
});

test("every policy of the engine has them", () => {
  const text = readFileSync(join(FEDERATION, "placement/policies.py"), "utf-8");
  const names = [...text.matchAll(/(?:Policy\(|_then_packing\(|name=|DEFAULT = )"([a-z-]+)"/g)].map(([, name = ""]) => name);
  expect(names).toEqual(expect.arrayContaining(["packing", "spread", "hash", "greenest"]));
  expect(names.filter((name) => !(name in POLICIES))).toEqual([]);
});

test("every objective of the engine has words", () => {
  const text = readFileSync(join(FEDERATION, "placement/policies.py"), "utf-8");
  const names = [...text.matchAll(/Objective\("(\w+)"/g)].map(([, name = ""]) => name);
  expect(names.length).toBeGreaterThan(3);
  expect(names.filter((name) => !(name in OBJECTIVES))).toEqual([]);
});

test("every part of a score has words", () => {
  const text = readFileSync(join(FEDERATION, "placement/parts.py"), "utf-8");
  const names = [...text.matchAll(/modes\.\w+: "([a-z-]+)"|found\["([a-z-]+)"\]|\{"([a-z-]+)": loss/g)].flatMap((found) => found.slice(1).filter(Boolean));
  expect(names).toEqual(expect.arrayContaining(["emptiness", "waiting", "money", "packing"]));
  expect(names.filter((name) => !(name in PARTS))).toEqual([]);
});

test("all of it is there in Chinese", () => {
  const named = [POLICIES, ORDERS, OBJECTIVES].flatMap((words) => Object.values(words).flatMap(({ title, description }) => [title, description]));
  expect([...named, ...Object.values(FILTERS), ...Object.values(PARTS)].filter(({ id }) => !(id in chinese))).toEqual([]);
});
