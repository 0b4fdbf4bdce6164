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
  Content: ComponentType;
}

export const TABS: readonly Tab[] = [
  { key: "usage", label: msg`Usage`, permission: "usage.view", Content: lazy(async () => ({ default: (await import("./Usage")).Usage })) },
  { key: "invoices", label: msg`Invoices`, permission: "invoice.view", Content: lazy(async () => ({ default: (await import("./Invoices")).Invoices })) },
  { key: "prices", label: msg`Prices`, permission: "price.view", Content: lazy(async () => ({ default: (await import("./Prices")).Prices })) },
];
