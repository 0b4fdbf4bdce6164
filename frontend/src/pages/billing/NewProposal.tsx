import { Trans, useLingui } from "@lingui/react/macro";
import { Select, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { proposalsCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { useBillingZone } from "~/api/session";
import { hourField, monthField, toInstant } from "~/lib/instant";
import { freshKey } from "~/lib/key";
import { pb } from "~/lib/path-builder";
import { splitPath } from "~/parts/AppLink";
import { FormDialog } from "~/parts/FormDialog";
import { useBooks, useTenants } from "./choices";

export function NewProposal({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const navigate = useNavigate();
  const { choices: tenants } = useTenants();
  const { choices: books } = useBooks();
  const [key] = useState(freshKey);
  const [now] = useState(() => new Date());
  const zone = useBillingZone();
  const form = useForm({
    initialValues: { tenant: "", book: "", from: monthField(now, 0, zone), to: hourField(now) },
    validate: {
      tenant: (value) => (value ? null : t`Say for whom`),
      book: (value) => (value ? null : t`Choose a price book`),
      from: (value) => (value ? null : t`Say from when`),
      to: (value, { from }) => (value > from ? null : t`After it begins`),
    },
  });
  const create = useMutation({
    ...proposalsCreateMutation(),
    onSuccess: async (made) => {
      await client.invalidateQueries();
      await navigate(splitPath(pb.proposal(made.id)));
    },
    onError: (error) => {
      const { period_start, period_end, ...others } = fieldErrors(error);
      form.setErrors({ ...others, from: period_start, to: period_end });
    },
  });
  return (
    <FormDialog
      title={<Trans>Try other prices</Trans>}
      verb={<Trans>Show the difference</Trans>}
      onSubmit={form.onSubmit(({ tenant, book, from, to }) =>
        create.mutate({ body: { tenant, book, period_start: toInstant(from) ?? "", period_end: toInstant(to) ?? "" }, headers: { "Idempotency-Key": key } }),
      )}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <Text size="sm" c="dimmed"><Trans>Nothing is posted by this: it only counts.</Trans></Text>
      <Select label={t`Tenant`} searchable allowDeselect={false} data={tenants} {...form.getInputProps("tenant")} value={form.values.tenant || null} />
      <Select label={t`By the prices of`} allowDeselect={false} data={books} {...form.getInputProps("book")} value={form.values.book || null} />
      <div className="aq-fields">
        <TextInput type="datetime-local" step={3600} label={t`From`} {...form.getInputProps("from")} />
        <TextInput type="datetime-local" step={3600} label={t`Until`} {...form.getInputProps("to")} />
      </div>
    </FormDialog>
  );
}
