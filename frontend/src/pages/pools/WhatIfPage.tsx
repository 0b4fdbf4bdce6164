/** What would happen if: changes on one side, and on the other what would come of them. Nothing is written. */
import { Trans } from "@lingui/react/macro";
import { Text } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { Pool } from "~/api/__generated__";
import { useCan } from "~/api/session";
import { pb } from "~/lib/path-builder";
import { splitPath } from "~/parts/AppLink";
import { Notice } from "~/ui/Notice";
import { type ChangeDraft, printChange, readChange, toChange } from "./change";
import { ChangeForm } from "./ChangeForm";
import { PoolFrame } from "./frame";
import { Outcome } from "./Outcome";

/** Who types is not asked about each letter. */
const PAUSE_MS = 500;

export function WhatIfPage() {
  const { id } = useParams({ from: "/inside/pools/$id/what-if" });
  const can = useCan();
  return (
    <PoolFrame id={id} tab="what-if">
      {(pool) => (can("pool.edit") ? <WhatIf key={id} pool={pool} /> : <Notice tone="warning"><Trans>Your role does not allow this</Trans></Notice>)}
    </PoolFrame>
  );
}

function WhatIf({ pool }: { pool: Pool }) {
  const navigate = useNavigate();
  const { change: asked } = useSearch({ strict: false });
  const [draft, setDraft] = useState(() => readChange(asked));
  const show = useDebouncedCallback((next: ChangeDraft) => {
    void navigate({ ...splitPath(pb.poolWhatIf(pool.id, { change: printChange(toChange(next)) })), replace: true, resetScroll: false });
  }, PAUSE_MS);
  const change = (next: ChangeDraft) => {
    setDraft(next);
    show(next);
  };
  return (
    <>
      <Text size="sm" c="dimmed"><Trans>The queue is planned twice, as it is and with these changes. Nothing is written; the address of this page keeps the question, so that it can be handed on.</Trans></Text>
      <div className="aq-halves">
        <ChangeForm pool={pool} draft={draft} onChange={change} />
        {/* What is asked is what stands in the address, read as carefully as what somebody else typed there. */}
        <Outcome pool={pool} change={toChange(readChange(asked))} />
      </div>
    </>
  );
}
