/** Every card, as plain numbers outside React: thousands of them change each second. */
import type { FiguresFrame } from "~/live/socket";

export type Health = "healthy" | "unhealthy" | "unknown";
const HEALTH: readonly Health[] = ["healthy", "unhealthy", "unknown"];

export type Role = "whole" | "divided" | "part" | "twin";
const ROLES: readonly Role[] = ["whole", "divided", "part", "twin"];

/** [id, model, health, held in 1/1000, busy percent, memory used in MiB, memory in MiB, foreign in 1/1000, role, other] */
export type MapRow = [string, number, number, number, number | null, number | null, number, number, number, string | null];

export interface MapNode {
  id: string;
  name: string;
  d: MapRow[];
}

export interface MapCluster {
  id: string;
  name: string;
  site: string;
  kind: string;
  state: string;
  last_seen_at: string | null;
  nodes: MapNode[];
}

export interface MapSnapshot {
  seq: number;
  observed_at: string | null;
  models: string[];
  clusters: MapCluster[];
}

export interface Card {
  id: string;
  /** "3", and "3.1" for the first part of it. */
  label: string;
  model: string;
  health: Health;
  /** A divided card is handed out by its parts: what it is held of stands there. A twin counts in another place. */
  role: Role;
  /** The same card in the place where it counts. */
  twinOf: string | null;
  parts: readonly Card[];
  heldMilli: number;
  /** Used by work that is not ours. */
  foreignMilli: number;
  busyPercent: number | null;
  memoryUsedMib: number | null;
  memoryMib: number;
}

export interface FleetNode {
  id: string;
  name: string;
  cards: Card[];
}

export interface FleetCluster {
  id: string;
  name: string;
  site: string;
  kind: string;
  state: string;
  nodes: FleetNode[];
  /** All that is drawn, twins too. */
  cellCount: number;
  /** Cards one could touch, each once. */
  cardCount: number;
  /** What can be handed out: whole cards, and parts. */
  offeredCount: number;
  figuresAt: string | null;
  /** Rises with each change; what draws the cluster watches this. */
  version: number;
}

/** Frames are kept this long, to be put over a snapshot that was on its way while they came. */
const KEEP_FRAMES_MS = 15_000;

const NO_PARTS: readonly Card[] = [];

export interface CardPlace {
  card: Card;
  node: FleetNode;
  cluster: FleetCluster;
}

export class Fleet {
  clusters: FleetCluster[] = [];
  private cards = new Map<string, Card>();
  private byId = new Map<string, FleetCluster>();
  private newest = new Map<string, number>();
  private heardAt = 0;
  private frames: { frame: FiguresFrame; heardAt: number }[] = [];
  private readonly watchers = new Set<() => void>();

  watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  clusterVersion(id: string): number {
    return this.byId.get(id)?.version ?? 0;
  }

  cluster(id: string): FleetCluster | undefined {
    return this.byId.get(id);
  }

  card(id: string): Card | undefined {
    return this.cards.get(id);
  }

  /** Where a card or part is; looked for, since it is asked seldom. */
  placeOf(id: string): CardPlace | undefined {
    const card = this.cards.get(id);
    if (!card) return undefined;
    for (const cluster of this.clusters)
      for (const node of cluster.nodes) if (node.cards.some((each) => each === card || each.parts.includes(card))) return { card, node, cluster };
    return undefined;
  }

  /** Take a whole picture. Frames newer than it stay on top of it. */
  load(snapshot: MapSnapshot): void {
    const before = this.byId;
    this.cards = new Map();
    this.clusters = snapshot.clusters.map((cluster) => {
      const nodes = cluster.nodes.map((node) => ({ id: node.id, name: node.name, cards: this.readCards(node, snapshot) }));
      const all = nodes.flatMap((node) => node.cards);
      const counted = all.filter((card) => card.role !== "twin");
      const parts = counted.reduce((sum, card) => sum + card.parts.length, 0);
      return {
        id: cluster.id,
        name: cluster.name,
        site: cluster.site,
        kind: cluster.kind,
        state: cluster.state,
        nodes,
        cellCount: all.length,
        cardCount: counted.filter((card) => card.role !== "part").length,
        offeredCount: counted.filter((card) => card.role !== "divided").length + parts,
        figuresAt: cluster.last_seen_at,
        version: (before.get(cluster.id)?.version ?? 0) + 1,
      };
    });
    this.byId = new Map(this.clusters.map((cluster) => [cluster.id, cluster]));
    const observedAt = snapshot.observed_at ? Date.parse(snapshot.observed_at) : 0;
    for (const { frame } of this.frames) if (Date.parse(frame.at) > observedAt) this.apply(frame);
    this.tell();
  }

  /** Whether figures stream in at all: they do only for those who may see every card. */
  get isStreaming(): boolean {
    return Date.now() - this.heardAt < KEEP_FRAMES_MS;
  }

  merge(frame: FiguresFrame): void {
    const now = Date.now();
    this.heardAt = now;
    // Messages may overtake each other; what is older than what is shown is dropped.
    if (frame.seq < (this.newest.get(frame.cluster) ?? 0)) return;
    this.newest.set(frame.cluster, frame.seq);
    this.frames = this.frames.filter((kept) => now - kept.heardAt < KEEP_FRAMES_MS);
    this.frames.push({ frame, heardAt: now });
    this.apply(frame);
    this.tell();
  }

  private apply(frame: FiguresFrame): void {
    for (const [id, busy, used, held] of frame.d) {
      const card = this.cards.get(id);
      if (!card) continue;
      card.busyPercent = busy;
      card.memoryUsedMib = used;
      if (held !== null) card.heldMilli = held;
    }
    const cluster = this.byId.get(frame.cluster);
    if (cluster) {
      cluster.figuresAt = frame.at;
      cluster.version += 1;
    }
  }

  private readCards(node: MapNode, snapshot: MapSnapshot): Card[] {
    const cards: Card[] = [];
    const parts: { card: Card; of: string | null }[] = [];
    for (const [id, model, health, heldMilli, busyPercent, memoryUsedMib, memoryMib, foreignMilli, roleNumber, other] of node.d) {
      const role = ROLES[roleNumber] ?? "whole";
      const card: Card = {
        id,
        label: "",
        model: snapshot.models[model] ?? "",
        health: HEALTH[health] ?? "unknown",
        role,
        twinOf: role === "twin" ? other : null,
        parts: NO_PARTS,
        heldMilli,
        foreignMilli,
        busyPercent,
        memoryUsedMib,
        memoryMib,
      };
      this.cards.set(id, card);
      if (role === "part") parts.push({ card, of: other });
      else cards.push(card);
    }
    cards.forEach((card, at) => (card.label = String(at)));
    for (const { card, of } of parts) {
      const whole = of === null ? undefined : this.cards.get(of);
      // Whoever may see a part only (it holds their work) does not see its card.
      if (!whole) {
        card.label = String(cards.length);
        cards.push(card);
      } else {
        whole.parts = [...whole.parts, card];
        card.label = `${whole.label}.${whole.parts.length}`;
      }
    }
    return cards;
  }

  private tell(): void {
    for (const watcher of this.watchers) watcher();
  }
}

export const fleet = new Fleet();
