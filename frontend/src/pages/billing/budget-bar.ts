/** Where the parts of a budget end on a bar of 1000, and how much of it is spent, in per cent. */
interface Amounts {
  limit: string;
  spent: string;
  held: string;
}

export interface Parts {
  spent: number;
  held: number;
  limit: number;
  percent: number;
}

/** For drawing only: sums of money are made by the server. What is beyond the limit makes the bar longer than it. */
export function partsOf({ limit, spent, held }: Amounts): Parts {
  const [all, gone, kept] = [Number(limit), Math.max(0, Number(spent)), Math.max(0, Number(held))];
  const scale = Math.max(all, gone + kept);
  const part = (amount: number) => (scale === 0 ? 0 : (1000 * amount) / scale);
  return { spent: part(gone), held: part(kept), limit: part(all), percent: all > 0 ? Math.floor((100 * gone) / all) : gone > 0 ? 100 : 0 };
}
