import { Trans, useLingui } from "@lingui/react/macro";
import { TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { priceBooksCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { freshKey } from "~/lib/key";
import { toSlug } from "~/lib/slug";
import { FormDialog } from "~/parts/FormDialog";

export function NewBook({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: { name: "", currency: "" },
    validate: {
      name: (value) => (value.trim() ? null : t`Give it a name`),
      currency: (value) => (/^[A-Za-z]{3}$/.test(value.trim()) ? null : t`Three letters, such as CNY`),
    },
  });
  const create = useMutation({
    ...priceBooksCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => {
      const { slug, ...others } = fieldErrors(error);
      form.setErrors({ ...others, name: others.name ?? slug });
    },
  });
  return (
    <FormDialog
      title={<Trans>Make a book</Trans>}
      verb={<Trans>Make it</Trans>}
      onSubmit={form.onSubmit(({ name, currency }) => create.mutate({ body: { name: name.trim(), slug: toSlug(name), currency: currency.trim().toUpperCase() }, headers: { "Idempotency-Key": key } }))}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <TextInput label={t`Name`} data-autofocus {...form.getInputProps("name")} />
      <TextInput label={t`Currency`} description={t`of all its prices, and never another`} placeholder="CNY" maxLength={3} {...form.getInputProps("currency")} />
    </FormDialog>
  );
}
