import { expect, test } from "vitest";
import type { Card, FleetNode } from "./fleet";
import { cellAt, layOut, neighbour } from "./layout";

const card = (index: number): Card => ({
  id: `card-${index}`,
  label: String(index),
  model: "H100",
  health: "healthy",
  role: "whole",
  twinOf: null,
  parts: [],
  heldMilli: 0,
  foreignMilli: 0,
  busyPercent: null,
  memoryUsedMib: null,
  memoryMib: 1,
});
const nodes = (...sizes: number[]): FleetNode[] =>
  sizes.map((size, at) => ({ id: `n${at}`, name: `n${at}`, cards: Array.from({ length: size }, (_, i) => card(i)) }));

test("nodes wrap like words, nodes without cards take no room", () => {
  const layout = layOut(nodes(8, 0, 8, 8), 200, 18);
  expect(layout.tiles.map((tile) => tile.node)).toEqual([0, 2, 3]);
  expect(layout.tiles.map((tile) => tile.x)).toEqual([0, 89, 0]);
  expect(layout.tiles[2]?.y).toBeGreaterThan(0);
  expect(layout.tiles.every((tile) => tile.x + tile.width <= 200)).toBe(true);
  expect(layout.height).toBe((layout.tiles[2]?.y ?? 0) + (layout.tiles[2]?.height ?? 0));
});

test("each of 10,000 cards is found again at its own place, and no two share one", () => {
  const layout = layOut(nodes(...Array.from({ length: 1250 }, () => 8)), 1100, 9);
  expect(layout.cells).toHaveLength(10_000);
  expect(new Set(layout.cells.map((cell) => `${cell.x},${cell.y}`)).size).toBe(10_000);
  layout.cells.forEach((cell, at) => {
    if (cellAt(layout, cell.x + 4, cell.y + 4) !== at) throw new Error(`cell ${at} is not found`);
  });
  expect(cellAt(layout, -1, 0)).toBe(-1);
  expect(cellAt(layout, 0, layout.height + 50)).toBe(-1);
});

test("arrow keys walk along lines and between them", () => {
  const layout = layOut(nodes(4, 4), 1000, 18);
  expect(neighbour(layout, 0, "ArrowRight")).toBe(2);
  expect(neighbour(layout, 2, "ArrowRight")).toBe(4);
  expect(neighbour(layout, 4, "ArrowLeft")).toBe(2);
  expect(neighbour(layout, 0, "ArrowDown")).toBe(1);
  expect(neighbour(layout, 1, "ArrowUp")).toBe(0);
  expect(neighbour(layout, 1, "ArrowDown")).toBe(1);
  expect(neighbour(layout, 3, "End")).toBe(7);
  expect(neighbour(layout, -1, "ArrowRight")).toBe(0);
  expect(neighbour(layOut([], 1000, 18), -1, "ArrowRight")).toBe(-1);
});

test("an empty cluster has no height", () => {
  expect(layOut(nodes(0, 0), 500, 18).height).toBe(0);
});
