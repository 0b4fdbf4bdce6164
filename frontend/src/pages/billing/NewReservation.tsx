import { Trans, useLingui } from "@lingui/react/macro";
import { NumberInput, Select, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { commitmentsCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { useBillingZone } from "~/api/session";
import { monthField, toInstant } from "~/lib/instant";
import { freshKey } from "~/lib/key";
import { FormDialog } from "~/parts/FormDialog";
import { useFlavors, useSites, useTenants } from "./choices";
import { isAmount } from "./price-draft";

export function NewReservation({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const { choices: tenants } = useTenants();
  const flavors = useFlavors();
  const sites = useSites();
  const [key] = useState(freshKey);
  const [now] = useState(() => new Date());
  const zone = useBillingZone();
  const form = useForm({
    initialValues: { tenant: "", flavor: "", site: "", amount: 1 as number | "", price: "", from: monthField(now, 1, zone), to: monthField(now, 2, zone) },
    validate: {
      tenant: (value) => (value ? null : t`Say for whom`),
      flavor: (value) => (value ? null : t`Say of what`),
      amount: (value) => (value ? null : t`More than none`),
      price: (value) => (isAmount(value) ? null : t`A number with at most 6 decimals`),
      from: (value) => (value.slice(-2) === "00" ? null : t`On a whole hour`),
      to: (value, { from }) => (value.slice(-2) !== "00" ? t`On a whole hour` : value <= from ? t`After it begins` : null),
    },
  });
  const create = useMutation({
    ...commitmentsCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => {
      const { held_milli, unit_price, start_at, end_at, ...others } = fieldErrors(error);
      form.setErrors({ ...others, amount: held_milli, price: unit_price, from: start_at, to: end_at });
    },
  });
  return (
    <FormDialog
      title={<Trans>Sell a reservation</Trans>}
      verb={<Trans>Sell it</Trans>}
      size="lg"
      onSubmit={form.onSubmit(({ tenant, flavor, site, amount, price, from, to }) =>
        create.mutate({
          body: { tenant, flavor, site, held_milli: Math.round((amount || 0) * 1000), unit_price: price.trim(), start_at: toInstant(from) ?? "", end_at: toInstant(to) ?? "" },
          headers: { "Idempotency-Key": key },
        }),
      )}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <Text size="sm" c="dimmed"><Trans>It is asked for at the beginning of each month, used or not, and cannot be taken back.</Trans></Text>
      <div className="aq-fields">
        <Select label={t`Tenant`} searchable allowDeselect={false} data={tenants} {...form.getInputProps("tenant")} value={form.values.tenant || null} />
        <Select label={t`Flavor`} searchable allowDeselect={false} data={flavors} {...form.getInputProps("flavor")} value={form.values.flavor || null} />
        <Select label={t`Site`} searchable clearable placeholder={t`any`} data={sites} value={form.values.site || null} onChange={(value) => form.setFieldValue("site", value ?? "")} error={form.errors.site} />
      </div>
      <div className="aq-fields">
        <NumberInput label={t`How many`} min={0.001} decimalScale={3} {...form.getInputProps("amount")} />
        <TextInput label={t`Price of an hour of each`} description={t`in the currency of the tenant's book`} inputMode="decimal" placeholder="9.80" {...form.getInputProps("price")} />
      </div>
      <div className="aq-fields">
        <TextInput type="datetime-local" step={3600} label={t`From`} {...form.getInputProps("from")} />
        <TextInput type="datetime-local" step={3600} label={t`Until`} {...form.getInputProps("to")} />
      </div>
    </FormDialog>
  );
}
