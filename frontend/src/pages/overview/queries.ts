import { queryOptions } from "@tanstack/react-query";
import { acceleratorsMapOptions, overviewGetOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { POLL_MS } from "~/live/live";
import { fleet } from "~/map/fleet";

export const overviewQuery = overviewGetOptions();

/** Live frames keep the picture fresh between reads; a change of inventory or a gap has it read again. */
export const fleetQuery = queryOptions({
  ...acceleratorsMapOptions(),
  staleTime: 60_000,
  refetchInterval: () => (fleet.isStreaming ? false : POLL_MS),
});
