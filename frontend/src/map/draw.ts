/** Paints cards. Colour says how much, shape says what: nothing is told by colour alone. */
import type { Card, FleetNode } from "./fleet";
import type { Layout } from "./layout";

export type FillBy = "busy" | "memory" | "held";
export type Scheme = "light" | "dark";

/** One hue from little to much, told apart by lightness alone, so also without colour vision. */
export const RAMP: Record<Scheme, readonly string[]> = {
  light: ["#cfe2f0", "#9dc4e2", "#5b9bce", "#2469a8", "#0a376b"],
  dark: ["#1f405b", "#2f6591", "#4a8fc4", "#83bde6", "#d2eafb"],
};

const INK: Record<Scheme, { tile: string; outline: string; track: string; idle: string; bad: string; unknown: string; focus: string }> = {
  light: { tile: "#e9eef1", outline: "#8a979f", track: "#ffffff", idle: "#b35400", bad: "#9f1239", unknown: "#5b6870", focus: "#000000" },
  dark: { tile: "#232c31", outline: "#6d7b84", track: "#14191c", idle: "#ffa94d", bad: "#ff8fa3", unknown: "#a3b0b7", focus: "#ffffff" },
};

/** Below this a held card counts as doing nothing. */
export const IDLE_BELOW_PERCENT = 1;

export type Look = "unhealthy" | "unknown" | "free" | "idle" | "unmeasured" | "used";

export function lookOf(card: Card): Look {
  if (card.health === "unhealthy") return "unhealthy";
  if (card.health === "unknown") return "unknown";
  if (card.heldMilli === 0) return "free";
  if (card.busyPercent === null) return "unmeasured";
  return card.busyPercent < IDLE_BELOW_PERCENT ? "idle" : "used";
}

/** 0..100, or null where nothing was measured. */
export function fillPercent(card: Card, by: FillBy): number | null {
  if (by === "held") return card.heldMilli / 10;
  if (by === "busy") return card.busyPercent;
  return card.memoryUsedMib === null || card.memoryMib === 0 ? null : (100 * card.memoryUsedMib) / card.memoryMib;
}

export function rampColour(percent: number, scheme: Scheme): string {
  const ramp = RAMP[scheme];
  return ramp[Math.max(0, Math.min(ramp.length - 1, Math.floor((percent / 100) * ramp.length)))] ?? ramp[0] ?? "";
}

export function drawCard(g: CanvasRenderingContext2D, card: Card, x: number, y: number, s: number, by: FillBy, scheme: Scheme): void {
  const ink = INK[scheme];
  const look = lookOf(card);
  g.fillStyle = ink.track;
  g.fillRect(x, y, s, s);
  if (card.heldMilli > 0) {
    // A share of a card fills that share of its square, from below.
    const height = Math.max(2, Math.round((s * card.heldMilli) / 1000));
    const percent = fillPercent(card, by);
    const isIdle = look === "idle" && by !== "held";
    g.fillStyle = isIdle ? ink.track : percent === null ? ink.outline : rampColour(percent, scheme);
    g.fillRect(x, y + s - height, s, height);
    if (isIdle) hatch(g, x, y + s - height, s, height, ink.idle);
  }
  g.lineWidth = 1;
  g.strokeStyle = look === "unhealthy" ? ink.bad : look === "idle" ? ink.idle : ink.outline;
  g.setLineDash(look === "unknown" ? [2, 2] : []);
  g.strokeRect(x + 0.5, y + 0.5, s - 1, s - 1);
  g.setLineDash([]);
  if (look === "unhealthy") cross(g, x, y, s, ink.bad, ink.track);
  if (look === "unmeasured" && by !== "held") dot(g, x, y, s, ink.track);
}

function hatch(g: CanvasRenderingContext2D, x: number, y: number, width: number, height: number, colour: string): void {
  g.save();
  g.beginPath();
  g.rect(x, y, width, height);
  g.clip();
  g.strokeStyle = colour;
  g.lineWidth = 1.5;
  g.beginPath();
  for (let at = -height; at < width; at += 4) {
    g.moveTo(x + at, y + height);
    g.lineTo(x + at + height, y);
  }
  g.stroke();
  g.restore();
}

function cross(g: CanvasRenderingContext2D, x: number, y: number, s: number, colour: string, halo: string): void {
  for (const [width, style] of [[4, halo], [2, colour]] as const) {
    g.strokeStyle = style;
    g.lineWidth = width;
    g.beginPath();
    g.moveTo(x + 2, y + 2);
    g.lineTo(x + s - 2, y + s - 2);
    g.moveTo(x + s - 2, y + 2);
    g.lineTo(x + 2, y + s - 2);
    g.stroke();
  }
}

function dot(g: CanvasRenderingContext2D, x: number, y: number, s: number, colour: string): void {
  g.fillStyle = colour;
  g.beginPath();
  g.arc(x + s / 2, y + s / 2, Math.max(1.5, s / 8), 0, 2 * Math.PI);
  g.fill();
}

export interface Painting {
  nodes: readonly FleetNode[];
  layout: Layout;
  by: FillBy;
  scheme: Scheme;
  /** Cell to ring, or -1. */
  marked: number;
  /** What is known is old: drawn pale. */
  isStale: boolean;
}

export function paint(canvas: HTMLCanvasElement, width: number, { nodes, layout, by, scheme, marked, isStale }: Painting): void {
  const ratio = window.devicePixelRatio || 1;
  const wide = Math.round(width * ratio);
  const high = Math.round(layout.height * ratio);
  // Setting a size also clears; only do it when it changed.
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  const g = canvas.getContext("2d");
  if (!g) return;
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, layout.height);
  const ink = INK[scheme];
  g.fillStyle = ink.tile;
  for (const tile of layout.tiles) g.fillRect(tile.x, tile.y, tile.width, tile.height);
  g.globalAlpha = isStale ? 0.45 : 1;
  for (const cell of layout.cells) {
    const card = nodes[cell.node]?.cards[cell.card];
    if (card) drawCard(g, card, cell.x, cell.y, layout.cell, by, scheme);
  }
  g.globalAlpha = 1;
  const ring = layout.cells[marked];
  if (ring) {
    g.strokeStyle = ink.focus;
    g.lineWidth = 2;
    g.strokeRect(ring.x - 1, ring.y - 1, layout.cell + 2, layout.cell + 2);
  }
}
