/** A component whose styles are not loaded looks broken and breaks no build, so the list is compared with what is used. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";

const SOURCES = join(import.meta.dirname, "..");
const MANTINE = join(SOURCES, "../node_modules/@mantine/core");
const BARREL = join(MANTINE, "esm/index.mjs");

/** Names imported from Mantine anywhere in the console, but for types. */
function namesUsed(): Set<string> {
  const found = new Set(["Notification"]); // what @mantine/notifications shows
  for (const entry of readdirSync(SOURCES, { recursive: true, withFileTypes: true })) {
    if (!/\.tsx?$/.test(entry.name)) continue;
    const text = readFileSync(join(entry.parentPath, entry.name), "utf-8");
    for (const [, list = ""] of text.matchAll(/import \{([^}]*)\} from "@mantine\/core"/g))
      for (const name of list.split(",").map((each) => each.trim())) if (name && !name.startsWith("type ")) found.add(name);
  }
  return found;
}

function filesOf(names: ReadonlySet<string>): string[] {
  const lines = readFileSync(BARREL, "utf-8").matchAll(/import \{([^}]*)\} from "(\.[^"]+)"/g);
  return [...lines].flatMap(([, list = "", file = ""]) => (list.split(",").some((each) => names.has(each.trim())) ? [resolve(dirname(BARREL), file)] : []));
}

/** Names of style files that these files and all they import ask for. */
function stylesOf(files: string[]): Set<string> {
  const seen = new Set<string>();
  const found = new Set<string>();
  for (const file of files) {
    if (seen.has(file)) continue;
    seen.add(file);
    const [, name] = /\/(\w+)\.module\.mjs$/.exec(file) ?? [];
    if (name && existsSync(join(MANTINE, `styles/${name}.css`))) found.add(`${name}.css`);
    for (const [, next = ""] of readFileSync(file, "utf-8").matchAll(/from "(\.[^"]+)"/g)) files.push(resolve(dirname(file), next));
  }
  return found;
}

const listed = () => [...readFileSync(join(import.meta.dirname, "mantine-styles.ts"), "utf-8").matchAll(/@mantine\/core\/styles\/(\w[\w-]*\.css)"/g)].map(([, name = ""]) => name);

test("the styles of every component that is used are loaded", () => {
  const wanted = stylesOf(filesOf(namesUsed()));
  expect(wanted.size).toBeGreaterThan(20);
  expect([...wanted].filter((name) => !listed().includes(name))).toEqual([]);
});

test("they come in the order in which Mantine has them, since later ones win", () => {
  const whole = readFileSync(join(MANTINE, "styles.css"), "utf-8");
  const places = listed().flatMap((name) => {
    const [, mark] = /\.(m_[0-9a-f]+)/.exec(readFileSync(join(MANTINE, "styles", name), "utf-8")) ?? [];
    return mark ? [whole.indexOf(`.${mark}`)] : [];
  });
  expect(places).toEqual(places.toSorted((a, b) => a - b));
});

test("none is loaded for nothing", () => {
  const wanted = stylesOf(filesOf(namesUsed()));
  const base = ["baseline.css", "default-css-variables.css", "global.css"];
  expect(listed().filter((name) => !wanted.has(name) && !base.includes(name))).toEqual([]);
});
