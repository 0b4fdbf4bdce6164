import { expect, test } from "vitest";
import type { FigureRow } from "~/live/socket";
import { Fleet, type MapSnapshot } from "./fleet";

const snapshot = (busy: number, at: string): MapSnapshot => ({
  seq: 1,
  observed_at: at,
  models: ["H100", "Ascend 910B"],
  clusters: [
    {
      id: "c1",
      name: "c1",
      site: "Shanghai",
      kind: "kubernetes",
      state: "connected",
      last_seen_at: at,
      nodes: [
        { id: "n1", name: "n1", d: [["a", 0, 0, 1000, busy, 100, 81920, 0, 0, null], ["b", 1, 1, 0, null, null, 65536, 250, 0, null]] },
        { id: "n2", name: "n2", d: [] },
      ],
    },
    { id: "c2", name: "c2", site: "Shanghai", kind: "kvm", state: "stale", last_seen_at: null, nodes: [] },
  ],
});
const frame = (at: string, ...d: FigureRow[]) => ({ type: "figures" as const, seq: Date.parse(at), cluster: "c1", at, d });

test("a snapshot is read whole", () => {
  const fleet = new Fleet();
  fleet.load(snapshot(10, "2026-11-21T10:00:00Z"));
  expect(fleet.card("a")).toMatchObject({ label: "0", model: "H100", health: "healthy", heldMilli: 1000, busyPercent: 10 });
  expect(fleet.card("b")).toMatchObject({ label: "1", model: "Ascend 910B", health: "unhealthy", busyPercent: null, foreignMilli: 250 });
  expect(fleet.clusters.map((cluster) => cluster.cardCount)).toEqual([2, 0]);
});

test("figures change their cards, the age and the version of their cluster, and nothing else", () => {
  const fleet = new Fleet();
  fleet.load(snapshot(10, "2026-11-21T10:00:00Z"));
  const other = fleet.clusterVersion("c2");
  const own = fleet.clusterVersion("c1");
  fleet.merge(frame("2026-11-21T10:00:01Z", ["a", 90, 200, 500], ["gone", 1, 1, 1]));
  expect(fleet.card("a")).toMatchObject({ busyPercent: 90, memoryUsedMib: 200, heldMilli: 500, memoryMib: 81920 });
  expect(fleet.card("b")).toMatchObject({ busyPercent: null });
  expect(fleet.cluster("c1")?.figuresAt).toBe("2026-11-21T10:00:01Z");
  expect(fleet.clusterVersion("c1")).toBe(own + 1);
  expect(fleet.clusterVersion("c2")).toBe(other);
});

test("a snapshot that was overtaken by frames does not bring old figures back", () => {
  const fleet = new Fleet();
  fleet.load(snapshot(10, "2026-11-21T10:00:00Z"));
  fleet.merge(frame("2026-11-21T10:00:05Z", ["a", 95, 200, 1000]));
  fleet.load(snapshot(50, "2026-11-21T10:00:04Z"));
  expect(fleet.card("a")?.busyPercent).toBe(95);
  fleet.load(snapshot(60, "2026-11-21T10:00:06Z"));
  expect(fleet.card("a")?.busyPercent).toBe(60);
});

test("watchers are told until they leave", () => {
  const fleet = new Fleet();
  let told = 0;
  const leave = fleet.watch(() => told++);
  fleet.load(snapshot(1, "2026-11-21T10:00:00Z"));
  leave();
  fleet.load(snapshot(1, "2026-11-21T10:00:00Z"));
  expect(told).toBe(1);
});

test("an overtaken frame is dropped, two of the same moment are both taken", () => {
  const fleet = new Fleet();
  fleet.load(snapshot(10, "2026-11-21T10:00:00Z"));
  fleet.merge(frame("2026-11-21T10:00:05Z", ["a", 70, 1, 1000]));
  fleet.merge(frame("2026-11-21T10:00:05Z", ["b", 30, 1, 500]));
  fleet.merge(frame("2026-11-21T10:00:04Z", ["a", 20, 1, 1000]));
  expect(fleet.card("a")?.busyPercent).toBe(70);
  expect(fleet.card("b")?.busyPercent).toBe(30);
});

test("parts stand inside their card, whatever comes first, and a twin is not counted", () => {
  const fleet = new Fleet();
  const picture = snapshot(10, "2026-11-21T10:00:00Z");
  const [first, second] = picture.clusters;
  if (!first || !second) throw new Error("There are two.");
  first.nodes = [
    {
      id: "n1",
      name: "n1",
      d: [
        ["p1", 1, 0, 1000, 50, 1, 10, 0, 2, "cut"],
        ["whole", 0, 0, 0, null, null, 80, 0, 0, null],
        ["cut", 0, 0, 0, null, null, 80, 0, 1, null],
        ["p2", 1, 0, 0, null, null, 10, 1000, 2, "cut"],
        ["lonely", 1, 0, 0, null, null, 10, 0, 2, "a card out of sight"],
      ],
    },
  ];
  second.nodes = [{ id: "n9", name: "n9", d: [["seen-twice", 0, 0, 0, null, null, 80, 0, 3, "whole"]] }];
  fleet.load(picture);
  expect(fleet.cluster("c1")?.nodes[0]?.cards.map((card) => [card.id, card.label, card.parts.map((part) => part.label)])).toEqual([
    ["whole", "0", []],
    ["cut", "1", ["1.1", "1.2"]],
    ["lonely", "2", []],
  ]);
  expect(fleet.clusters.map(({ cellCount, cardCount, offeredCount }) => [cellCount, cardCount, offeredCount])).toEqual([[3, 2, 4], [1, 0, 0]]);
  expect(fleet.placeOf(fleet.card("seen-twice")?.twinOf ?? "")).toMatchObject({ card: { id: "whole" }, node: { id: "n1" }, cluster: { id: "c1" } });
  expect(fleet.placeOf("p2")?.node.id).toBe("n1");
  fleet.merge(frame("2026-11-21T10:00:01Z", ["p2", 7, 2, 500]));
  expect(fleet.cluster("c1")?.nodes[0]?.cards[1]?.parts[1]).toMatchObject({ busyPercent: 7, heldMilli: 500 });
});
