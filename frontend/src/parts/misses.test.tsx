import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { renderToStaticMarkup } from "react-dom/server";
import { beforeAll, expect, test } from "vitest";
import { messages as english } from "~/locales/en/messages.po";
import { messages as chinese } from "~/locales/zh-Hans/messages.po";
import { useMissText } from "./misses";

beforeAll(() => i18n.load({ en: english, "zh-Hans": chinese }));

type Told = Parameters<ReturnType<typeof useMissText>>;

function Shown({ miss, isFinal }: { miss: Told[0]; isFinal: boolean }) {
  return useMissText()(miss, isFinal);
}

function said(locale: string, filter: string, unit: string, wanted: number, has: number, isFinal = false, where = ""): string {
  i18n.activate(locale);
  return renderToStaticMarkup(<I18nProvider i18n={i18n}><Shown miss={{ filter, unit, wanted, has, where }} isFinal={isFinal} /></I18nProvider>);
}

test.each([
  ["accelerators", "devices", 8, 4, "4 of the 8 accelerators wanted are free", "it has 4 of the 8 accelerators wanted, even when empty"],
  ["accelerators", "milli", 500, 250, "0.25 of an accelerator is free where 0.5 is wanted", "it has 0.25 of an accelerator where 0.5 is wanted, even when empty"],
  ["device-memory", "mib", 81_920, 40_960, "its accelerators have 40 GiB of the 80 GiB of memory wanted free", "its accelerators have 40 GiB of the 80 GiB of memory wanted"],
  ["cpu", "cpu-milli", 16_000, 1500, "1.5 of the 16 CPU cores wanted are free", "it has 1.5 of the 16 CPU cores wanted, even when empty"],
  ["memory", "mib", 4096, 512, "512 MiB of the 4 GiB of memory wanted are free", "it has 512 MiB of the 4 GiB of memory wanted, even when empty"],
  ["label", "labels", 3, 1, "it has 1 of the 3 labels asked for", "it has 1 of the 3 labels asked for"],
  ["whole-server", "devices", 2, 8, "it is leased whole, with 8 accelerators", "it is leased whole, with 8 accelerators"],
  ["later", "things", 3, 1, "it has 1 where 3 is wanted", "it has 1 where 3 is wanted"],
])("%s in %s", (filter, unit, wanted, has, now, never) => {
  expect(said("en", filter, unit, wanted, has)).toBe(now);
  expect(said("en", filter, unit, wanted, has, true)).toBe(never);
  for (const isFinal of [false, true]) expect(said("zh-Hans", filter, unit, wanted, has, isFinal).replaceAll(/CPU|[GM]iB/g, "")).not.toMatch(/[a-z]/i);
});

test("what is there instead is told in words", () => {
  expect(said("en", "region", "region", 1, 0, false, "CN-BJ")).toBe("its region: CN-BJ");
  expect(said("en", "network-class", "network-class", 1, 0)).toBe("its class of network: none");
  expect(said("en", "mode", "mode", 1, 0, false, "shared, later")).toBe("its cards are handed out: shared in turns, later");
  expect(said("en", "topology", "members", 4, 3, false, "sh/k8s/r1")).toBe("room for 3 of 4 members (sh/k8s/r1)");
  expect(said("en", "accelerators", "members", 4, 0)).toBe("room for 0 of 4 members");
});
