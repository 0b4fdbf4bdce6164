import { Trans, useLingui } from "@lingui/react/macro";
import { NumberInput, Select, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Budget, OnExhaustedEnum } from "~/api/__generated__";
import { budgetsCreateMutation, budgetsPartialUpdateMutation, projectsListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { ON_EXHAUSTED } from "~/lib/billing-words";
import { freshKey } from "~/lib/key";
import { FormDialog } from "~/parts/FormDialog";
import { useWord } from "~/parts/words";
import { useTenants } from "./choices";
import { isAmount } from "./price-draft";

/** A new budget, or another limit of one that is there. */
export function BudgetForm({ budget, onClose }: { budget?: Budget; onClose: () => void }) {
  const { t } = useLingui();
  const word = useWord();
  const client = useQueryClient();
  const { choices: tenants } = useTenants();
  const projects = useQuery(projectsListOptions({ query: { limit: 200 } })).data?.results ?? [];
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: {
      tenant: "",
      project: "",
      limit: budget?.limit ?? "",
      onExhausted: budget?.on_exhausted ?? ("refuse" as OnExhaustedEnum),
      horizon: (budget?.horizon_hours ?? "") as number | "",
    },
    validate: {
      tenant: (value) => (budget || value ? null : t`Say for whom`),
      limit: (value) => (isAmount(value, 2) ? null : t`Write it as 1234.56`),
    },
  });
  const done = {
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error: unknown) => {
      const { on_exhausted, horizon_hours, ...others } = fieldErrors(error);
      form.setErrors({ ...others, onExhausted: on_exhausted, horizon: horizon_hours });
    },
  };
  const create = useMutation({ ...budgetsCreateMutation(), ...done });
  const change = useMutation({ ...budgetsPartialUpdateMutation(), ...done });
  const { values } = form;
  const own = projects.filter((project) => project.tenant === values.tenant);
  return (
    <FormDialog
      title={budget ? <Trans>Change the budget</Trans> : <Trans>Set a budget</Trans>}
      verb={budget ? <Trans>Change it</Trans> : <Trans>Set it</Trans>}
      onSubmit={form.onSubmit(({ tenant, project, limit, onExhausted, horizon }) => {
        const body = { limit: limit.trim(), on_exhausted: onExhausted, horizon_hours: horizon || null };
        if (budget) change.mutate({ path: { id: budget.id }, body, headers: { "If-Match": `"${budget.version}"` } });
        else create.mutate({ body: { ...body, tenant, project: project || null }, headers: { "Idempotency-Key": key } });
      })}
      isPending={create.isPending || change.isPending}
      error={create.error ?? change.error}
      onClose={onClose}
    >
      {!budget && (
        <div className="aq-fields">
          <Select label={t`Tenant`} searchable allowDeselect={false} data={tenants} {...form.getInputProps("tenant")} value={values.tenant || null} onChange={(value) => form.setValues({ tenant: value ?? "", project: "" })} />
          <Select label={t`Project`} searchable clearable placeholder={t`all projects`} data={own.map(({ id, name }) => ({ value: id, label: name }))} value={values.project || null} onChange={(value) => form.setFieldValue("project", value ?? "")} error={form.errors.project} />
        </div>
      )}
      <TextInput label={t`Limit of each month`} description={budget?.currency} inputMode="decimal" placeholder="50000.00" withAsterisk {...form.getInputProps("limit")} />
      <Select label={t`When it is spent`} allowDeselect={false} data={Object.keys(ON_EXHAUSTED).map((value) => ({ value, label: word(ON_EXHAUSTED, value) }))} {...form.getInputProps("onExhausted")} />
      <NumberInput label={t`Work without a time limit reserves, hours`} placeholder={t`until the month ends`} min={1} max={8784} allowDecimal={false} {...form.getInputProps("horizon")} />
    </FormDialog>
  );
}
