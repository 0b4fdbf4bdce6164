/** Three steps behind one button: the place, what joins there, and how it does. */
import { Trans } from "@lingui/react/macro";
import { useState } from "react";
import { Dialog } from "~/ui/Dialog";
import { AddSiteForm } from "./AddSiteForm";
import { type Joined, JoinedCluster } from "./JoinedCluster";

export function AddSite({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const [joined, setJoined] = useState<Joined>();
  const close = () => {
    onClose();
    setJoined(undefined);
  };
  return (
    <Dialog isOpen={isOpen} onClose={close} size="lg" isHeld={joined?.command !== undefined} title={<Trans>Add a site</Trans>}>
      {joined ? <JoinedCluster joined={joined} onDone={close} /> : <AddSiteForm onJoined={setJoined} />}
    </Dialog>
  );
}
