import { QueryClient } from "@tanstack/react-query";
import { Problem } from "~/api/problem";
import { pollInterval } from "~/live/live";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchInterval: pollInterval,
      // Only what may pass by itself is tried again; a refusal is an answer.
      retry: (count, error) => error instanceof Problem && (error.status === 0 || error.status >= 502) && count < 2,
    },
  },
});
