import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { messages as chinese } from "~/locales/zh-Hans/messages.po";
import { hintOf, REASONS } from "./reasons";

const BACK_END = join(import.meta.dirname, "../../..");

/** CamelCase words of the back end that are no reasons. Its own classes are found by themselves. */
const OTHERS = new Set(["MemTotal", "MemAvailable", "ProcessId", "OrderDesired", "JoinTokenState", "PlacementOutcome", "DecisionOutcome", "LayoutState", "Completed", "NodePower", "WantedPower", "StartedAt", "ExitCode", "NoSuchKey", "ContentLength", "UploadId", "PartNumber", "Upgrade", "PassingAgentDriver", "ExportFormat", "InstanceType", "LineItems", "CardHours", "CreditKind"]);

/** Its files speak the words of a site too: there a reason of ours is what a word of theirs leads to, or what is said. */
const SITES = /drivers.(kubernetes|docker|redfish)/;
/** Of exports: names of columns, as a standard has them. */
const COLUMNS = /billing.exports.focus|billing.bench/;
const FOREIGN = {
  kubernetes: ["states.py", "requests.py", "objects.py", "records.py", "driver.py", "access.py", "channels.py"],
  docker: ["states.py", "vendors.py", "objects.py", "ledger.py", "work.py", "driver.py", "access.py"],
  redfish: ["course.py", "driver.py", "hands.py", "leases.py"],
};
const SAID = /"[A-Z]\w*": "([A-Z]\w+)",|(?:say\(O\.\w+, |Rejected\(|Observation\(.*reason=|reason=)"([A-Z]\w+)"|(?:return|reason, code =) "([A-Z]\w+)", |": \("([A-Z]\w+)", \d+\)/g;

function saidOfSites(): string[] {
  const texts = Object.entries(FOREIGN).flatMap(([driver, names]) =>
    names.map((name) => readFileSync(join(BACK_END, "federation/drivers", driver, name), "utf-8")),
  );
  return texts.flatMap((text) => [...text.matchAll(SAID)].map(([, ...words]) => words.find(Boolean) ?? ""));
}

function sources(): string[] {
  const found: string[] = [];
  for (const app of ["federation", "portal", "billing", "agent/aquifer_agent"]) {
    for (const entry of readdirSync(join(BACK_END, app), { recursive: true, withFileTypes: true })) {
      const isOurs = !/tests|migrations/.test(entry.parentPath) && !SITES.test(entry.parentPath) && !COLUMNS.test(entry.parentPath);
      if (entry.name.endsWith(".py") && isOurs) found.push(readFileSync(join(entry.parentPath, entry.name), "utf-8"));
    }
  }
  return found;
}

/** CamelCase words in quotes; words of one hump only where the line speaks of a reason. */
function reasonsGiven(): Set<string> {
  const texts = sources();
  const classes = new Set(texts.flatMap((text) => [...text.matchAll(/^ *class (\w+)/gm)].map(([, name]) => name)));
  const found = new Set<string>(saidOfSites());
  for (const line of texts.flatMap((text) => text.split("\n"))) {
    const words = /reason\b|Rejected\(/.test(line) ? /"([A-Z][a-z]+(?:[A-Z][a-z]+)*)"/g : /"([A-Z][a-z]+(?:[A-Z][a-z]+)+)"/g;
    for (const [, word = ""] of line.matchAll(words)) if (!classes.has(word) && !OTHERS.has(word)) found.add(word);
  }
  for (const other of OTHERS) found.delete(other);
  return found;
}

test("the search finds reasons at all", () => {
  expect([...reasonsGiven()]).toEqual(expect.arrayContaining(["CancelledByUser", "OldGeneration"]));
});

test("every reason the back end gives has words", () => {
  expect([...reasonsGiven()].filter((reason) => !(reason in REASONS))).toEqual([]);
});

test("what a Kubernetes cluster does to work comes with advice", () => {
  const text = readFileSync(join(BACK_END, "federation/drivers/kubernetes/states.py"), "utf-8");
  const tables = text.slice(text.indexOf("WAITING:"), text.indexOf("NODE_MISSING ="));
  const given = new Set([...tables.matchAll(/^ {4}"\w+": "(\w+)"/gm)].map(([, reason = ""]) => reason));
  expect(given.size).toBeGreaterThan(8);
  expect([...given].filter((reason) => !REASONS[reason]?.hint)).toEqual([]);
});

test("every reason has its words in Chinese", () => {
  const missing = Object.entries(REASONS).filter(([, { headline, hint }]) => {
    const isThere = (id: string | undefined) => id === undefined || id in chinese;
    return !isThere(headline.id) || !isThere(hint?.id);
  });
  expect(missing.map(([reason]) => reason)).toEqual([]);
});

test("who asks for the wrong kind of work is not told to ask for less", () => {
  expect(hintOf("NeverFits", "form")?.message).toContain("another kind");
  expect(hintOf("NeverFits", "cpu")).toBe(REASONS.NeverFits?.hint);
  expect(hintOf("NeverFits")).toBe(REASONS.NeverFits?.hint);
  expect(hintOf("Submitted", "form")).toBeUndefined();
});
