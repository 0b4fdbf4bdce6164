/** The tabs of billing, in their order. A new one is a line here: its code is fetched when it is opened. */
import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { type ComponentType, lazy } from "react";

interface Tab {
  /** As it stands in the address. */
  key: string;
  label: MessageDescriptor;
  /** Without it the tab is not there. */
  permission: string;
  /** Only for those of the platform: it is about no tenant. */
  isOfPlatform?: boolean;
  Content: ComponentType;
}

export const TABS: readonly Tab[] = [
  { key: "usage", label: msg`Usage`, permission: "usage.view", Content: lazy(async () => ({ default: (await import("./Usage")).Usage })) },
  { key: "gaps", label: msg`Gaps in proof`, permission: "usage.view", Content: lazy(async () => ({ default: (await import("./Gaps")).Gaps })) },
  { key: "capacity", label: msg`Capacity`, permission: "usage.view", isOfPlatform: true, Content: lazy(async () => ({ default: (await import("./Capacity")).Capacity })) },
  { key: "costs", label: msg`Costs`, permission: "invoice.view", Content: lazy(async () => ({ default: (await import("./costs/Costs")).Costs })) },
  { key: "invoices", label: msg`Invoices`, permission: "invoice.view", Content: lazy(async () => ({ default: (await import("./Invoices")).Invoices })) },
  { key: "months", label: msg`Months`, permission: "month.view", isOfPlatform: true, Content: lazy(async () => ({ default: (await import("./Months")).Months })) },
  { key: "settlement", label: msg`Settlement`, permission: "invoice.view", Content: lazy(async () => ({ default: (await import("./Settlements")).Settlements })) },
  { key: "exports", label: msg`Exports`, permission: "export.view", Content: lazy(async () => ({ default: (await import("./exports/Exports")).Exports })) },
  { key: "rerating", label: msg`Re-rating`, permission: "invoice.issue", Content: lazy(async () => ({ default: (await import("./Proposals")).Proposals })) },
  { key: "budgets", label: msg`Budgets`, permission: "budget.view", Content: lazy(async () => ({ default: (await import("./Budgets")).Budgets })) },
  { key: "wallets", label: msg`Wallets`, permission: "wallet.view", Content: lazy(async () => ({ default: (await import("./Wallets")).Wallets })) },
  { key: "prices", label: msg`Prices`, permission: "price.view", Content: lazy(async () => ({ default: (await import("./Prices")).Prices })) },
  { key: "books", label: msg`Books and taxes`, permission: "price.edit", Content: lazy(async () => ({ default: (await import("./Books")).Books })) },
  { key: "terms", label: msg`Terms`, permission: "invoice.view", Content: lazy(async () => ({ default: (await import("./Terms")).Terms })) },
  { key: "reservations", label: msg`Reservations`, permission: "invoice.view", Content: lazy(async () => ({ default: (await import("./Reservations")).Reservations })) },
];
