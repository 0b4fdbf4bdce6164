import { useEffect, useState } from "react";
import type { Map as Snapshot } from "~/api/__generated__";
import { fleet, type MapSnapshot } from "./fleet";

/** The picture lives outside React; a new snapshot is put into it once, however many look at it. */
let latest: Snapshot | undefined;

export function useLoadedFleet(snapshot: Snapshot | undefined): boolean {
  const [isLoaded, setLoaded] = useState(latest !== undefined);
  useEffect(() => {
    if (!snapshot) return;
    if (snapshot !== latest) {
      latest = snapshot;
      // The schema cannot say what stands at which place of a row; `MapRow` does.
      fleet.load(snapshot as unknown as MapSnapshot);
    }
    setLoaded(true);
  }, [snapshot]);
  return isLoaded;
}
