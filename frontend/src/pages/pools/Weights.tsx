/** A weight for each aim, by slider or number, and what becomes of them in the words of the API. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Code, NumberInput, Slider, Text } from "@mantine/core";
import { type ReactNode, useId } from "react";
import { printWeights, type Weights as Values } from "~/lib/combination";
import { useObjectives } from "./choices";

const USUAL_MOST = 2;

export function Weights({ value, onChange, error }: { value: Values; onChange: (value: Values) => void; error?: ReactNode }) {
  const { t } = useLingui();
  const { objectives, most: allowed } = useObjectives();
  const id = useId();
  const most = Math.max(USUAL_MOST, ...Object.values(value));
  const text = printWeights(value);
  return (
    <div role="group" aria-labelledby={id} className="aq-weights">
      <Text size="sm" fw={500} id={id}><Trans>How much each aim counts against the others</Trans></Text>
      {objectives.map(({ name, title, description }) => {
        const weight = value[name] ?? 0;
        const set = (next: number) => onChange({ ...value, [name]: next });
        return (
          <div key={name} className="aq-weight">
            <div>
              <Text size="sm" fw={600}>{title}</Text>
              <Text size="xs" c="dimmed">{description}</Text>
            </div>
            <Slider min={0} max={most} step={0.05} value={weight} onChange={set} label={null} thumbLabel={t`Weight of ${title}`} />
            <NumberInput size="xs" min={0} max={allowed} step={0.1} decimalScale={3} aria-label={t`Weight of ${title}, as a number`} value={weight} onChange={(next) => set(Number(next) || 0)} />
          </div>
        );
      })}
      {error ? <Text size="sm" c="var(--mantine-color-error)" role="alert">{error}</Text> : <Text size="xs" c="dimmed"><Trans>For the API:</Trans> <Code>{text || "–"}</Code></Text>}
    </div>
  );
}
