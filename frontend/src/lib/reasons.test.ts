import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { messages as chinese } from "~/locales/zh-Hans/messages.po";
import { REASONS } from "./reasons";

const BACK_END = join(import.meta.dirname, "../../..");

/** CamelCase words of the back end that are no reasons. Its own classes are found by themselves. */
const OTHERS = new Set(["MemTotal", "MemAvailable", "ProcessId", "OrderDesired", "JoinTokenState"]);

function sources(): string[] {
  const found: string[] = [];
  for (const app of ["federation", "portal", "billing", "agent/aquifer_agent"]) {
    for (const entry of readdirSync(join(BACK_END, app), { recursive: true, withFileTypes: true })) {
      if (entry.name.endsWith(".py") && !/tests|migrations/.test(entry.parentPath)) found.push(readFileSync(join(entry.parentPath, entry.name), "utf-8"));
    }
  }
  return found;
}

/** CamelCase words in quotes; words of one hump only where the line speaks of a reason. */
function reasonsGiven(): Set<string> {
  const texts = sources();
  const classes = new Set(texts.flatMap((text) => [...text.matchAll(/^ *class (\w+)/gm)].map(([, name]) => name)));
  const found = new Set<string>();
  for (const line of texts.flatMap((text) => text.split("\n"))) {
    const words = /reason\b|Rejected\(/.test(line) ? /"([A-Z][a-z]+(?:[A-Z][a-z]+)*)"/g : /"([A-Z][a-z]+(?:[A-Z][a-z]+)+)"/g;
    for (const [, word = ""] of line.matchAll(words)) if (!classes.has(word) && !OTHERS.has(word)) found.add(word);
  }
  return found;
}

test("the search finds reasons at all", () => {
  expect([...reasonsGiven()]).toEqual(expect.arrayContaining(["CancelledByUser", "OldGeneration"]));
});

test("every reason the back end gives has words", () => {
  expect([...reasonsGiven()].filter((reason) => !(reason in REASONS))).toEqual([]);
});

test("every reason has its words in Chinese", () => {
  const missing = Object.entries(REASONS).filter(([, { headline, hint }]) => {
    const isThere = (id: string | undefined) => id === undefined || id in chinese;
    return !isThere(headline.id) || !isThere(hint?.id);
  });
  expect(missing.map(([reason]) => reason)).toEqual([]);
});
