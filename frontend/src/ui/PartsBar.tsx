/** One whole in a few parts, each with its own pattern, and beneath it what they are called. */
import { Group, Text } from "@mantine/core";

export interface Part {
  name: string;
  /** One of the fills of the style sheet. */
  className: string;
  amount: number;
  /** As it is said; an amount may be exact where `amount` is only drawn. */
  text: string;
}

export function PartsBar({ parts }: { parts: Part[] }) {
  const total = parts.reduce((sum, { amount }) => sum + Math.max(0, amount), 0);
  return (
    <div>
      <svg className="aq-bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={parts.map(({ name, text }) => `${name} ${text}`).join(", ")}>
        <defs>
          <pattern id="aq-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="3" height="6" className="aq-idle-stripe" />
          </pattern>
        </defs>
        <rect className="aq-bar-track" width="1000" height="10" />
        {parts.map(({ name, className, amount }, at) => {
          const before = parts.slice(0, at).reduce((sum, each) => sum + Math.max(0, each.amount), 0);
          return amount > 0 && <rect key={name} className={className} x={(1000 * before) / total} width={Math.max(0, (1000 * amount) / total - 2)} height="10" />;
        })}
      </svg>
      <Group gap="4px 16px" mt={4}>
        {parts.map(({ name, className, text }) => (
          <Group key={name} gap={5} wrap="nowrap">
            <svg className="aq-swatch" viewBox="0 0 10 10" aria-hidden><rect className={className} width="10" height="10" /></svg>
            <Text size="xs">{name} <strong>{text}</strong></Text>
          </Group>
        ))}
      </Group>
    </div>
  );
}
