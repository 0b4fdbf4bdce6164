/** Where work goes and by when, for those who care: together or apart, in which regions, on which nodes. */
import { useLingui } from "@lingui/react/macro";
import type { MessageDescriptor } from "@lingui/core";
import { MultiSelect, NumberInput, Select, Stack, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { sitesListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { PREFERENCES, SPREADS, TOPOLOGIES } from "~/lib/placement";
import { MODES } from "~/lib/words";
import { useWord } from "~/parts/words";
import type { TermsDraft } from "./terms";

interface Props {
  /** Value, onChange and error of a field, as a form gives them. */
  field: (name: keyof TermsDraft) => object;
  /** Within other things: smaller, and without descriptions. */
  isSmall?: boolean;
}

export function PlacementFields({ field, isSmall = false }: Props) {
  const { t } = useLingui();
  const word = useWord();
  const can = useCan();
  const sites = useQuery({ ...sitesListOptions({ query: { limit: 200 } }), enabled: can("site.view") });
  const regions = [...new Set(sites.data?.results.flatMap((site) => (site.region ? [site.region] : [])))];
  const choices = (words: Record<string, MessageDescriptor>) => Object.keys(words).map((value) => ({ value, label: word(words, value) }));
  const looks = (label: string, description: string) => (isSmall ? { size: "xs", label } : { label, description });
  const row = isSmall ? "aq-fields aq-fields-small" : "aq-fields";
  return (
    <Stack gap={isSmall ? "xs" : "md"}>
      <div className={row}>
        <Select {...looks(t`Members together`, t`how close all of them are`)} allowDeselect={false} data={choices(TOPOLOGIES)} {...field("topology")} />
        <Select {...looks(t`Members apart`, t`how far any two of them are`)} allowDeselect={false} data={choices(SPREADS)} {...field("spread")} />
        <NumberInput {...looks(t`Members at least`, t`it may start with fewer than all`)} placeholder={t`all`} min={1} max={10_000} allowDecimal={false} {...field("minReplicas")} />
      </div>
      <div className={row}>
        <TagsInput {...looks(t`Regions`, t`none: any; CN takes CN-SH too`)} data={regions} {...field("regions")} />
        <MultiSelect {...looks(t`Cards handed out`, t`none chosen: in any way`)} clearable data={choices(MODES)} {...field("slicing_modes")} />
        <TextInput {...looks(t`Class of network`, t`of its nodes; empty: any`)} placeholder="infiniband" maxLength={63} {...field("network_class")} />
      </div>
      <Textarea {...looks(t`Labels of nodes`, t`name=value, one a line; a node must have all of them`)} placeholder={isSmall ? t`name=value, one a line` : undefined} autosize minRows={isSmall ? 1 : 2} className="aq-mono" {...field("labels")} />
      <div className={row}>
        <TextInput type="datetime-local" {...looks(t`Deadline`, t`by when it should be done`)} {...field("deadline")} />
        <Select {...looks(t`Prefer`, t`before what the pool prefers`)} allowDeselect={false} data={choices(PREFERENCES)} {...field("prefer")} />
      </div>
    </Stack>
  );
}
