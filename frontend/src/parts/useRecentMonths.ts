import { useState } from "react";
import { useBillingZone } from "~/api/session";
import { recentMonths } from "~/lib/months";

/** The last twelve months that are billed, the present one first, as they were when the page was opened. */
export function useRecentMonths(): string[] {
  const zone = useBillingZone();
  const [months] = useState(() => recentMonths(new Date(), zone));
  return months;
}
