/** What the cards of a cluster or a node add up to: total, held, working, held but idle, free. */
import { lookOf } from "./draw";
import type { Card } from "./fleet";

export interface Sums {
  cards: number;
  totalMilli: number;
  heldMilli: number;
  busyMilli: number;
  idleMilli: number;
  freeMilli: number;
  unhealthyMilli: number;
}

export function sumUp(cards: Iterable<Card>): Sums {
  const sums: Sums = { cards: 0, totalMilli: 0, heldMilli: 0, busyMilli: 0, idleMilli: 0, freeMilli: 0, unhealthyMilli: 0 };
  for (const card of cards) {
    const look = lookOf(card);
    sums.cards += 1;
    sums.totalMilli += 1000;
    sums.heldMilli += card.heldMilli;
    if (look === "used") sums.busyMilli += card.heldMilli;
    if (look === "idle") sums.idleMilli += card.heldMilli;
    // What is free on a card that does not work can be given to nobody.
    if (look === "unhealthy" || look === "unknown") sums.unhealthyMilli += 1000 - card.heldMilli;
    else sums.freeMilli += 1000 - card.heldMilli;
  }
  return sums;
}
