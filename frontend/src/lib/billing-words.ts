/** The words for what billing says in codes, in both languages. */
import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { CreditKind, EveryEnum, ExportKind, Meter, OnExhaustedEnum, ServiceClassEnum, TenantClassEnum, TierModeEnum, TierScopeEnum } from "~/api/__generated__";

export const METERS: Record<Meter, MessageDescriptor> = {
  accelerator: msg`Cards`,
  cpu: msg`Cores beside cards`,
  memory: msg`Memory beside cards`,
  energy: msg`Energy`,
  reservation: msg`Reserved and not used`,
};

export const TENANT_CLASSES: Record<TenantClassEnum, MessageDescriptor> = {
  internal: msg`internal`,
  partner: msg`partner`,
  external: msg`external`,
};

export const SERVICE_CLASSES: Record<ServiceClassEnum, MessageDescriptor> = {
  guaranteed: msg`within what was promised`,
  "over-quota": msg`beyond what was promised`,
  "best-effort": msg`nothing was promised`,
};

export const TIER_MODES: Record<TierModeEnum, MessageDescriptor> = {
  graduated: msg`each unit at the price of its tier`,
  volume: msg`the whole month at the price of the tier it reaches`,
};

export const TIER_SCOPES: Record<TierScopeEnum, MessageDescriptor> = {
  tenant: msg`by tenant`,
  project: msg`by project`,
  user: msg`by user`,
};

export const ON_EXHAUSTED: Record<OnExhaustedEnum, MessageDescriptor> = {
  refuse: msg`new work is refused`,
  stop: msg`new work is refused, and old work suspended`,
};

export const CREDIT_KINDS: Record<CreditKind, MessageDescriptor> = {
  "top-up": msg`paid in`,
  grant: msg`granted`,
};

/** What hinders the closing of a month. */
export const IN_THE_WAY: Record<string, MessageDescriptor> = {
  "month-not-over": msg`The month is not over`,
  "earlier-month-open": msg`An earlier month is not closed`,
  "unrated-usage": msg`Usage has no price`,
  "open-gaps": msg`Sites are silent about work that ran`,
};
export const ACCEPTABLE = ["unrated-usage", "open-gaps"] as const;

export const EXPORT_KINDS: Record<ExportKind, MessageDescriptor> = {
  "focus-1.2": msg`FOCUS 1.2`,
  "focus-1.4": msg`FOCUS 1.4`,
  "line-items": msg`Line items`,
  "card-hours": msg`Card-hours`,
};

export const EVERY: Record<EveryEnum, MessageDescriptor> = {
  day: msg`Every day, of the month that runs`,
  week: msg`Every Monday, of the month that runs`,
  month: msg`On the first of each month, of the month before`,
};
