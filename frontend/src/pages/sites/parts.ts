/** What a card may be cut into: how much of it a choice of parts takes up. */

/** "3g.40gb" takes three slices of compute; a name without them takes none that is known. */
export function slicesOf(profile: string): number {
  return Number(/^(\d+)g\./.exec(profile)?.[1] ?? 0);
}

/** As many slices as the card has: as many as fill it when it is cut into one kind of part. */
export function slicesOfCard(possible: Readonly<Record<string, number>>): number {
  return Math.max(0, ...Object.entries(possible).map(([profile, most]) => slicesOf(profile) * most));
}

export function slicesTaken(chosen: Readonly<Record<string, number>>): number {
  return Object.entries(chosen).reduce((sum, [profile, count]) => sum + slicesOf(profile) * count, 0);
}

/** How many more of a profile there is room for beside what is chosen. */
export function roomFor(profile: string, chosen: Readonly<Record<string, number>>, possible: Readonly<Record<string, number>>): number {
  const most = (possible[profile] ?? 0) - (chosen[profile] ?? 0);
  const slices = slicesOf(profile);
  if (slices === 0) return Math.max(0, most);
  return Math.max(0, Math.min(most, Math.floor((slicesOfCard(possible) - slicesTaken(chosen)) / slices)));
}

/** "2 × 3g.20gb, 1 × 1g.10gb"; nothing for the whole card. */
export const partsText = (parts: Readonly<Record<string, number>>) =>
  Object.entries(parts)
    .filter(([, count]) => count > 0)
    .map(([profile, count]) => `${count} × ${profile}`)
    .join(", ");
