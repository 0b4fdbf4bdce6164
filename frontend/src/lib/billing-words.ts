/** The words for what billing says in codes, in both languages. */
import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import type { Meter, ServiceClassEnum, TenantClassEnum, TierModeEnum, TierScopeEnum } from "~/api/__generated__";

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
