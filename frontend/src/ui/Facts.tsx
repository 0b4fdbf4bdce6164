import type { ReactNode } from "react";

/** Names and values of one thing. */
export function Facts({ items }: { items: [name: ReactNode, value: ReactNode][] }) {
  return (
    <dl className="aq-facts">
      {items.map(([name, value], at) => (
        <div key={typeof name === "string" ? name : at}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
