/** What the cards of a cluster or a node add up to. Cards one could touch are told apart from what can be handed out. */
import { lookOf } from "./draw";
import type { Card } from "./fleet";

export interface Sums {
  /** Cards one could touch, each once, and how many of them do not work. */
  cards: number;
  sickCards: number;
  /** What can be handed out, whole cards and parts, and how many of them are parts. */
  offered: number;
  parts: number;
  /** Seen here, counted in another place. */
  twins: number;
  /** Of what can be handed out: held + foreign + free + unhealthy = total. */
  totalMilli: number;
  heldMilli: number;
  busyMilli: number;
  idleMilli: number;
  foreignMilli: number;
  freeMilli: number;
  unhealthyMilli: number;
}

export function sumUp(cards: Iterable<Card>): Sums {
  const sums: Sums = {
    cards: 0, sickCards: 0, offered: 0, parts: 0, twins: 0,
    totalMilli: 0, heldMilli: 0, busyMilli: 0, idleMilli: 0, foreignMilli: 0, freeMilli: 0, unhealthyMilli: 0,
  };
  for (const card of cards) {
    if (card.role === "twin") {
      sums.twins += 1;
      continue;
    }
    if (card.role !== "part") {
      sums.cards += 1;
      if (isSick(card)) sums.sickCards += 1;
    }
    if (card.role === "divided") for (const part of card.parts) addOffered(sums, part);
    else addOffered(sums, card);
  }
  return sums;
}

const isSick = (card: Card) => card.health !== "healthy";

function addOffered(sums: Sums, card: Card): void {
  const look = lookOf(card);
  // Others may use more than ours have left; what is added up stays one card.
  const foreign = Math.min(card.foreignMilli, 1000 - card.heldMilli);
  const rest = 1000 - card.heldMilli - foreign;
  sums.offered += 1;
  if (card.role === "part") sums.parts += 1;
  sums.totalMilli += 1000;
  sums.heldMilli += card.heldMilli;
  sums.foreignMilli += foreign;
  if (look === "used") sums.busyMilli += card.heldMilli;
  if (look === "idle") sums.idleMilli += card.heldMilli;
  // What is free on a card that does not work can be given to nobody.
  if (isSick(card)) sums.unhealthyMilli += rest;
  else sums.freeMilli += rest;
}
