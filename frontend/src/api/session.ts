/** Who is signed in, and what they may do. */
import type { QueryClient } from "@tanstack/react-query";
import { useQuery } from "@tanstack/react-query";
import { sessionGetOptions } from "./__generated__/@tanstack/react-query.gen";

export const sessionQuery = { ...sessionGetOptions(), staleTime: 60_000 };

export const readSession = (client: QueryClient) => client.ensureQueryData(sessionQuery);

/** Inside the console there always is a session: the router does not draw it otherwise. */
export function useSession() {
  return useQuery(sessionQuery).data;
}

/** Whose months are billed. */
export function useBillingZone(): string {
  return useSession()?.billing_time_zone ?? "UTC";
}

export function useCan(): (permission: string) => boolean {
  const permissions = useSession()?.permissions ?? [];
  return (permission) => permissions.includes(permission);
}
