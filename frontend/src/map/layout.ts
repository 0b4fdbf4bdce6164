/** Where each node and card of a cluster is drawn. Nodes flow like words; a node's cards stand in two rows. */
import type { FleetNode } from "./fleet";

const ROWS = 2;
const PAD = 3;
const NODE_GAP = 5;

export interface Cell {
  node: number;
  card: number;
  x: number;
  y: number;
}

export interface Tile {
  node: number;
  x: number;
  y: number;
  width: number;
  height: number;
  firstCell: number;
}

export interface Layout {
  cell: number;
  gap: number;
  height: number;
  tiles: Tile[];
  cells: Cell[];
}

/** Smaller cells for larger fleets, so that all of it stays on one page. */
export function cellSize(totalCards: number): number {
  if (totalCards <= 100) return 26;
  if (totalCards <= 500) return 18;
  if (totalCards <= 4000) return 13;
  return 9;
}

export function layOut(nodes: readonly FleetNode[], width: number, cell: number): Layout {
  const gap = cell > 10 ? 2 : 1;
  const tiles: Tile[] = [];
  const cells: Cell[] = [];
  const height = ROWS * cell + (ROWS - 1) * gap + 2 * PAD;
  let x = 0;
  let y = 0;
  nodes.forEach((node, at) => {
    if (node.cards.length === 0) return;
    const columns = Math.ceil(node.cards.length / ROWS);
    const tileWidth = columns * (cell + gap) - gap + 2 * PAD;
    if (x > 0 && x + tileWidth > width) {
      x = 0;
      y += height + NODE_GAP;
    }
    tiles.push({ node: at, x, y, width: tileWidth, height, firstCell: cells.length });
    node.cards.forEach((_, card) => {
      cells.push({
        node: at,
        card,
        x: x + PAD + Math.floor(card / ROWS) * (cell + gap),
        y: y + PAD + (card % ROWS) * (cell + gap),
      });
    });
    x += tileWidth + NODE_GAP;
  });
  return { cell, gap, height: tiles.length ? y + height : 0, tiles, cells };
}

/** The number of the cell under a point; -1 where there is none. */
export function cellAt(layout: Layout, x: number, y: number): number {
  const tile = layout.tiles.find((t) => x >= t.x && x < t.x + t.width && y >= t.y && y < t.y + t.height);
  if (!tile) return -1;
  for (let at = tile.firstCell; at < layout.cells.length; at++) {
    const cell = layout.cells[at];
    if (!cell || cell.node !== tile.node) break;
    if (x >= cell.x && x < cell.x + layout.cell + layout.gap && y >= cell.y && y < cell.y + layout.cell + layout.gap) return at;
  }
  return -1;
}

/** The cell an arrow key leads to: the next by number, or the nearest in the line above or below. */
export function neighbour(layout: Layout, from: number, key: string): number {
  const { cells } = layout;
  const here = cells[from];
  if (!here) return cells.length ? 0 : -1;
  const clamp = (at: number) => Math.max(0, Math.min(cells.length - 1, at));
  switch (key) {
    case "Home":
      return 0;
    case "End":
      return cells.length - 1;
    case "ArrowLeft":
    case "ArrowRight": {
      const step = key === "ArrowLeft" ? -1 : 1;
      for (let at = from + step; at >= 0 && at < cells.length; at += step) if (cells[at]?.y === here.y) return at;
      return clamp(from + step);
    }
    case "ArrowUp":
    case "ArrowDown": {
      const wanted = cells.filter((c) => (key === "ArrowUp" ? c.y < here.y : c.y > here.y));
      if (wanted.length === 0) return from;
      const line = wanted.reduce((y, c) => (key === "ArrowUp" ? Math.max(y, c.y) : Math.min(y, c.y)), wanted[0]?.y ?? 0);
      let best = from;
      let distance = Number.POSITIVE_INFINITY;
      cells.forEach((c, at) => {
        if (c.y === line && Math.abs(c.x - here.x) < distance) {
          distance = Math.abs(c.x - here.x);
          best = at;
        }
      });
      return best;
    }
    default:
      return from;
  }
}
