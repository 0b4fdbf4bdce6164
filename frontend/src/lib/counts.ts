/** The API's lists of [name, count] as a look-up. */
export function asCounts(list: readonly { name: string; count: number }[]): Record<string, number> {
  return Object.fromEntries(list.map(({ name, count }) => [name, count]));
}

export const totalOf = (list: readonly { count: number }[]) => list.reduce((sum, { count }) => sum + count, 0);
