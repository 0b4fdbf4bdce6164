/** The pictures of placement as they are drawn, without a browser: what is said to those who do not see them too. */
import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { MantineProvider } from "@mantine/core";
import type { ReactNode } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { beforeAll, expect, test } from "vitest";
import { messages as chinese } from "~/locales/zh-Hans/messages.po";
import { messages as english } from "~/locales/en/messages.po";
import { Funnel } from "./Funnel";
import { ScoreBars } from "./ScoreBars";

beforeAll(() => i18n.load({ en: english, "zh-Hans": chinese }));

function drawn(locale: string, what: ReactNode): string {
  i18n.activate(locale);
  return renderToStaticMarkup(<I18nProvider i18n={i18n}><MantineProvider>{what}</MantineProvider></I18nProvider>);
}

const textOf = (html: string) => html.replace(/<style.*?<\/style>/gs, "").replace(/<title>.*?<\/title>/gs, "").replace(/<[^>]+>/g, " ").replace(/\s+/g, " ").trim();
const barsOf = (html: string, name: string) => [...html.matchAll(new RegExp(`<rect class="${name}"[^>]*`, "g"))].map(([tag]) => /width="([\d.]+)"/.exec(tag)?.[1]).map(Number);

const STEPS = [
  { key: "closed", label: "closed", removed: 13 },
  { key: "model", label: "other model", removed: 1000 },
  { key: "cpu", label: "no cores", removed: 200 },
];

test("a funnel goes from all to none, each step from where the last one ended", () => {
  const html = drawn("en", <Funnel steps={STEPS} label="Nodes" />);
  expect(textOf(html)).toBe("all nodes of the pool 1,213 closed −13 → 1,200 left other model −1,000 → 200 left no cores −200 → 0 left");
  const left = barsOf(html, "aq-busy");
  const gone = barsOf(html, "aq-gone");
  expect(left.map((width) => Math.round((width * 1213) / 1000))).toEqual([1213, 1200, 200, 0]);
  expect(left[2]! + gone[2]!).toBeCloseTo(left[1]!, 6);
});

test("in Chinese it says no English", () => {
  const html = drawn("zh-Hans", <Funnel steps={STEPS.map((step) => ({ ...step, label: "" }))} label="节点" />);
  expect(textOf(html)).not.toMatch(/[a-z]/i);
});

const LABELS: Record<string, string> = { utilisation: "Utilisation", money: "Money" };
const scores = (parts: [string, number][][]) => (
  <ScoreBars
    label="Nodes"
    nameOf={(part) => LABELS[part] ?? part}
    rows={parts.map((each, at) => ({ key: String(at), label: `node ${at}`, score: each.reduce((sum, [, points]) => sum + points, 0), parts: each }))}
  />
);

test("scores in parts have a legend, and each bar says its parts", () => {
  const html = drawn("en", scores([[["utilisation", 9], ["money", -2]], [["utilisation", 4], ["money", -1]]]));
  expect(html).toContain('aria-label="Utilisation 9, Money -2"');
  expect(textOf(html)).toBe("node 0 7 node 1 3 Utilisation Money Points: what counts for a node lies right of the line, what counts against it left.");
});

test("scores without parts have none, and say what longer means", () => {
  const html = drawn("en", <ScoreBars label="Nodes" nameOf={String} rows={[{ key: "a", label: "a", score: -1, parts: [] }, { key: "b", label: "b", score: -2.5, parts: [] }]} />);
  expect(textOf(html)).toBe("a -1 b -2.5 Points lost: the shorter the bar, the better.");
  expect(html).toContain('aria-label="Score -2.5"');
});
