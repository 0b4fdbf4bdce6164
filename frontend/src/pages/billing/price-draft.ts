/** A price as the form holds it, and how it becomes a request. Amounts stay the digits that were typed. */
import type { Meter, NewPriceRequest, PriceBook } from "~/api/__generated__";
import { toInstant } from "~/lib/instant";

export interface TierDraft {
  /** Tells rows apart while they come and go. */
  key: string;
  start: string;
  price: string;
}

export interface PriceDraft {
  book: string;
  meter: Meter;
  flavor: string;
  tenant: string;
  tenantClass: string;
  site: string;
  slicingMode: string;
  serviceClass: string;
  price: string;
  /** Of date and time; empty: now, and until another begins. */
  from: string;
  to: string;
  tierMode: string;
  tierScope: string;
  tiers: TierDraft[];
  minimumSeconds: number | "";
  stepSeconds: number | "";
}

export const NO_PRICE: PriceDraft = {
  book: "", meter: "accelerator", flavor: "", tenant: "", tenantClass: "", site: "", slicingMode: "", serviceClass: "", price: "", from: "", to: "",
  tierMode: "graduated", tierScope: "tenant", tiers: [], minimumSeconds: "", stepSeconds: "",
};

/** Cores, memory and energy may cost the same beside every card. */
export const needsFlavor = (meter: Meter) => meter === "accelerator" || meter === "reservation";

export const isAmount = (text: string, decimals = 6) => new RegExp(`^\\d{1,12}(\\.\\d{1,${decimals}})?$`).test(text.trim());

/** Compares two amounts by their digits: a float would call some of them equal. */
export function isAbove(one: string, other: string): boolean {
  const [whole, part] = digits(one);
  const [otherWhole, otherPart] = digits(other);
  return whole.length !== otherWhole.length ? whole.length > otherWhole.length : `${whole}.${part}` > `${otherWhole}.${otherPart}`;
}

function digits(amount: string): [whole: string, part: string] {
  const [whole = "", part = ""] = amount.trim().split(".");
  return [whole.replace(/^0+(?=\d)/, ""), part.replace(/0+$/, "")];
}

/** Which tiers do not begin above the one before them. */
export function tiersOutOfOrder(tiers: readonly TierDraft[]): number[] {
  return tiers.flatMap(({ start }, at) => (isAmount(start, 9) && isAbove(start, tiers[at - 1]?.start || "0") ? [] : [at]));
}

export function priceRequest(draft: PriceDraft, books: readonly Pick<PriceBook, "slug">[]): NewPriceRequest {
  const book = books.some(({ slug }) => slug === draft.book) ? draft.book : "";
  return {
    ...(book ? { book } : {}),
    meter: draft.meter,
    flavor: draft.flavor,
    tenant: draft.tenant || null,
    tenant_class: draft.tenantClass as NewPriceRequest["tenant_class"],
    site: draft.site,
    slicing_mode: draft.slicingMode,
    service_class: draft.serviceClass as NewPriceRequest["service_class"],
    unit_price: draft.price.trim(),
    valid_from: toInstant(draft.from),
    valid_to: toInstant(draft.to),
    minimum_seconds: draft.minimumSeconds || 0,
    step_seconds: draft.stepSeconds || 1,
    ...(draft.tiers.length > 0
      ? {
          tier_mode: draft.tierMode as NewPriceRequest["tier_mode"],
          tier_scope: draft.tierScope as NewPriceRequest["tier_scope"],
          tiers: draft.tiers.map(({ start, price }) => ({ start: start.trim(), unit_price: price.trim() })),
        }
      : {}),
  };
}
