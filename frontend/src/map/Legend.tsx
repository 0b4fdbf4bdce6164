import { Trans, useLingui } from "@lingui/react/macro";
import { Text, useComputedColorScheme } from "@mantine/core";
import { useCallback } from "react";
import { useLookWord } from "./CardTip";
import { drawCard, type FillBy, type Look, RAMP } from "./draw";
import type { Card } from "./fleet";

const EXAMPLE: Card = {
  id: "", label: "", model: "", health: "healthy", role: "whole", twinOf: null, parts: [],
  heldMilli: 1000, foreignMilli: 0, busyPercent: 60, memoryUsedMib: 60, memoryMib: 100,
};
const FREE: Partial<Card> = { heldMilli: 0, busyPercent: null, memoryUsedMib: null };
const PARTS: Card[] = [EXAMPLE, { ...EXAMPLE, ...FREE }, { ...EXAMPLE, busyPercent: 95 }, { ...EXAMPLE, ...FREE, foreignMilli: 1000 }];
const LOOKS: [Look, Partial<Card>][] = [
  ["free", FREE],
  ["idle", { busyPercent: 0 }],
  ["unmeasured", { busyPercent: null, memoryUsedMib: null }],
  ["foreign", { ...FREE, foreignMilli: 1000 }],
  ["divided", { ...FREE, role: "divided", parts: PARTS }],
  ["elsewhere", { ...FREE, role: "twin" }],
  ["unhealthy", { health: "unhealthy", heldMilli: 0 }],
  ["unknown", { health: "unknown", heldMilli: 0 }],
];
const SIZE = 16;

/** Looks that not every fleet has are explained where they are seen. */
const SELDOM: ReadonlySet<Look> = new Set(["foreign", "divided", "elsewhere"]);

export function Legend({ by, seen }: { by: FillBy; seen: ReadonlySet<Look> }) {
  const { t } = useLingui();
  const word = useLookWord();
  const scheme = useComputedColorScheme("light");
  const what = { busy: t`busy`, memory: t`memory used`, held: t`held` }[by];
  return (
    <div className="aq-legend">
      <span>
        {what} 0 %
        <svg width={RAMP[scheme].length * SIZE} height={SIZE} aria-hidden>
          {RAMP[scheme].map((colour, at) => <rect key={colour} x={at * SIZE} width={SIZE} height={SIZE} fill={colour} />)}
        </svg>
        100 %
      </span>
      {LOOKS.filter(([look]) => (by !== "held" || (look !== "idle" && look !== "unmeasured")) && (!SELDOM.has(look) || seen.has(look))).map(([look, card]) => (
        <span key={look}><Sample card={{ ...EXAMPLE, ...card }} by={by} />{word(look)}</span>
      ))}
      <span><Sample card={{ ...EXAMPLE, heldMilli: 400 }} by={by} /><Trans>held in part</Trans></span>
      <Text size="xs" c="dimmed"><Trans>Each square is one card, each frame one node.</Trans></Text>
    </div>
  );
}

function Sample({ card, by }: { card: Card; by: FillBy }) {
  const scheme = useComputedColorScheme("light");
  const draw = useCallback(
    (canvas: HTMLCanvasElement | null) => {
      const g = canvas?.getContext("2d");
      if (!canvas || !g) return;
      const ratio = window.devicePixelRatio || 1;
      canvas.width = canvas.height = SIZE * ratio;
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      drawCard(g, card, 0, 0, SIZE, by, scheme);
    },
    [card, by, scheme],
  );
  return <canvas ref={draw} style={{ width: SIZE, height: SIZE }} aria-hidden />;
}
