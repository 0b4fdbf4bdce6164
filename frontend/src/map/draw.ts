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

interface Ink {
  tile: string;
  outline: string;
  track: string;
  idle: string;
  foreign: string;
  bad: string;
  focus: string;
}

const INK: Record<Scheme, Ink> = {
  light: { tile: "#e9eef1", outline: "#8a979f", track: "#ffffff", idle: "#b35400", foreign: "#6b4fa0", bad: "#9f1239", focus: "#000000" },
  dark: { tile: "#232c31", outline: "#6d7b84", track: "#14191c", idle: "#ffa94d", foreign: "#c3a6f0", bad: "#ff8fa3", focus: "#ffffff" },
};

/** Below this a held card counts as doing nothing. */
export const IDLE_BELOW_PERCENT = 1;

export type Look = "unhealthy" | "unknown" | "free" | "idle" | "unmeasured" | "used" | "foreign" | "divided" | "elsewhere";

export function lookOf(card: Card): Look {
  if (card.role === "twin") return "elsewhere";
  if (card.health === "unhealthy") return "unhealthy";
  if (card.health === "unknown") return "unknown";
  if (card.role === "divided") return "divided";
  if (card.heldMilli === 0) return card.foreignMilli > 0 ? "foreign" : "free";
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
  if (look === "elsewhere") return drawTwin(g, x, y, s, ink);
  g.fillStyle = ink.track;
  g.fillRect(x, y, s, s);
  if (card.role === "divided") drawParts(g, card, x, y, s, by, scheme);
  if (card.foreignMilli > 0) {
    // From above, so that it never hides what we hold, which stands below.
    const height = Math.max(2, Math.round((s * Math.min(card.foreignMilli, 1000 - card.heldMilli)) / 1000));
    stripes(g, x, y, s, height, ink.foreign);
  }
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

/** The parts of a card side by side in its square, in two lines when there are many. */
export function partBoxes(count: number, s: number): { x: number; y: number; width: number; height: number }[] {
  const lines = count > 3 ? 2 : 1;
  const columns = Math.ceil(count / lines);
  const [wide, high] = [(s - 2) / columns, (s - 2) / lines];
  return Array.from({ length: count }, (_, at) => ({ x: 1 + Math.floor(at / lines) * wide, y: 1 + (at % lines) * high, width: wide, height: high }));
}

function drawParts(g: CanvasRenderingContext2D, card: Card, x: number, y: number, s: number, by: FillBy, scheme: Scheme): void {
  const ink = INK[scheme];
  partBoxes(card.parts.length, s).forEach((box, at) => {
    const part = card.parts[at];
    if (!part) return;
    const [left, top, width, height] = [x + box.x, y + box.y, Math.max(1, box.width - 0.75), Math.max(1, box.height - 0.75)];
    const percent = fillPercent(part, by);
    // Too small for patterns: what is idle shows as the least, what others use in their colour.
    if (part.heldMilli > 0) g.fillStyle = percent === null ? ink.outline : rampColour(percent, scheme);
    else if (part.foreignMilli > 0) g.fillStyle = ink.foreign;
    else g.fillStyle = ink.tile;
    g.fillRect(left, top, width, height);
  });
}

/** It counts in another place, so it takes little room here: a small square of dots. */
function drawTwin(g: CanvasRenderingContext2D, x: number, y: number, s: number, ink: Ink): void {
  const inset = Math.max(2, Math.round(s / 4));
  g.lineWidth = 1;
  g.strokeStyle = ink.outline;
  g.setLineDash([1, 1]);
  g.strokeRect(x + inset + 0.5, y + inset + 0.5, s - 2 * inset - 1, s - 2 * inset - 1);
  g.setLineDash([]);
}

function stripes(g: CanvasRenderingContext2D, x: number, y: number, width: number, height: number, colour: string): void {
  g.fillStyle = colour;
  for (let at = 0; at < height; at += 3) g.fillRect(x, y + at, width, Math.min(2, height - at));
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
