/** Work that might be sent: the fields of the form for new work, as far as they decide on its place. */
import { useLingui } from "@lingui/react/macro";
import { MultiSelect, NumberInput, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Project } from "~/api/__generated__";
import { acceleratorModelsListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { PlacementFields } from "~/pages/workloads/PlacementFields";
import { toTerms } from "~/pages/workloads/terms";
import { Fold } from "~/ui/Fold";
import { amountOf } from "./amounts";
import type { WorkDraft } from "./change";

/** Inputs of text tell of a change by an event, others by the value. */
const valueOf = (given: unknown) => (typeof given === "object" && given !== null && "currentTarget" in given ? (given.currentTarget as HTMLInputElement).value : given);

interface Props {
  row: WorkDraft;
  onChange: (part: Partial<WorkDraft>) => void;
  projects: Project[];
}

export function WorkFields({ row, onChange, projects }: Props) {
  const { t } = useLingui();
  const models = useQuery(acceleratorModelsListOptions({ query: { limit: 200 } }));
  const names = [...new Set(models.data?.results.map((model) => model.name))];
  const isShareWrong = row.share !== "" && row.share < 1 && row.accelerators !== 1;
  return (
    <>
      <Select size="xs" className="aq-span-two" label={t`Project`} searchable allowDeselect={false} data={projects.map((project) => ({ value: project.id, label: `${project.name} (${project.tenant_name})` }))} value={row.project || null} onChange={(project) => onChange({ project: project ?? "" })} />
      <NumberInput size="xs" label={t`How many`} min={1} max={1000} allowDecimal={false} value={row.count} onChange={(count) => onChange({ count: amountOf(count) })} />
      <NumberInput size="xs" label={t`Accelerators`} min={0} max={1024} allowDecimal={false} value={row.accelerators} onChange={(accelerators) => onChange({ accelerators: amountOf(accelerators) })} />
      <NumberInput size="xs" label={t`Share of each`} min={0.001} max={1} step={0.1} decimalScale={3} value={row.share} error={isShareWrong && t`A share is of one accelerator: ask for exactly 1`} onChange={(share) => onChange({ share: amountOf(share) })} />
      <MultiSelect size="xs" label={t`Models`} placeholder={row.model_names.length === 0 ? t`any` : undefined} searchable clearable data={names} value={row.model_names} onChange={(chosen) => onChange({ model_names: chosen })} />
      <NumberInput size="xs" label={t`Members`} min={1} max={10_000} allowDecimal={false} value={row.replicas} onChange={(replicas) => onChange({ replicas: amountOf(replicas) })} />
      <NumberInput size="xs" label={t`CPU cores`} min={0.001} decimalScale={3} value={row.cores} onChange={(cores) => onChange({ cores: amountOf(cores) })} />
      <NumberInput size="xs" label={t`Memory, GiB`} min={0.1} decimalScale={2} value={row.memoryGib} onChange={(memoryGib) => onChange({ memoryGib: amountOf(memoryGib) })} />
      <NumberInput size="xs" label={t`Priority`} min={-1000} max={1000} allowDecimal={false} value={row.priority} onChange={(priority) => onChange({ priority: amountOf(priority) })} />
      <TextInput size="xs" label={t`Name`} placeholder="what-if" maxLength={100} value={row.name} onChange={(event) => onChange({ name: event.currentTarget.value })} />
      <div className="aq-whole-row">
        <Fold label={t`Placement`} startsOpen={Object.keys(toTerms(row)).length > 0}><PlacementFields isSmall field={(name) => ({ value: row[name], onChange: (given: unknown) => onChange({ [name]: valueOf(given) }) })} /></Fold>
      </div>
    </>
  );
}
