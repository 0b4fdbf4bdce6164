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
        { id: "n1", name: "n1", d: [["a", 0, 0, 1000, busy, 100, 81920], ["b", 1, 1, 0, null, null, 65536]] },
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
  expect(fleet.card("a")).toMatchObject({ index: 0, model: "H100", health: "healthy", heldMilli: 1000, busyPercent: 10 });
  expect(fleet.card("b")).toMatchObject({ index: 1, model: "Ascend 910B", health: "unhealthy", busyPercent: null });
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
