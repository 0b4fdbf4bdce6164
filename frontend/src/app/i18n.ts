/** The two languages. A switch loads the other catalogue and redraws; nothing is reloaded. */
import { i18n } from "@lingui/core";

export const LOCALES = { en: "English", "zh-Hans": "简体中文" } as const;
export type Locale = keyof typeof LOCALES;

const KEY = "aquifer-language";

const catalogues: Record<Locale, () => Promise<{ messages: Record<string, never> | object }>> = {
  en: () => import("~/locales/en/messages.po"),
  "zh-Hans": () => import("~/locales/zh-Hans/messages.po"),
};

export function isLocale(value: unknown): value is Locale {
  return typeof value === "string" && value in LOCALES;
}

/** What was chosen in this browser before. */
export function chosenLocale(): Locale | undefined {
  const stored = localStorage.getItem(KEY);
  return isLocale(stored) ? stored : undefined;
}

/** What was chosen here before, else what the browser asks for. */
export function preferredLocale(): Locale {
  const chosen = chosenLocale();
  if (chosen) return chosen;
  return navigator.languages.some((language) => language.toLowerCase().startsWith("zh")) ? "zh-Hans" : "en";
}

export async function activateLocale(locale: Locale): Promise<void> {
  const { messages } = await catalogues[locale]();
  i18n.loadAndActivate({ locale, messages: messages as Parameters<typeof i18n.load>[1] & object });
  document.documentElement.lang = locale;
}

export function rememberLocale(locale: Locale): void {
  localStorage.setItem(KEY, locale);
}
