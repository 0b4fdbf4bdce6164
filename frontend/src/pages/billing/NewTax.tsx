import { Trans, useLingui } from "@lingui/react/macro";
import { Select, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { taxRulesCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { hundredth } from "~/lib/format";
import { toInstant } from "~/lib/instant";
import { freshKey } from "~/lib/key";
import { FormDialog } from "~/parts/FormDialog";
import { useBooks } from "./choices";
import { isAmount } from "./price-draft";

export function NewTax({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const { books, choices } = useBooks();
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: { book: "", name: "", percent: "", from: "" },
    validate: {
      name: (value) => (value.trim() ? null : t`Give it a name`),
      percent: (value) => (isAmount(value, 4) ? null : t`A number with at most 4 decimals`),
    },
  });
  const create = useMutation({
    ...taxRulesCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => {
      const { rate, valid_from, ...others } = fieldErrors(error);
      form.setErrors({ ...others, percent: rate, from: valid_from });
    },
  });
  const book = form.values.book || (books.find(({ is_default }) => is_default) ?? books[0])?.slug || "";
  return (
    <FormDialog
      title={<Trans>Set a tax</Trans>}
      verb={<Trans>Set the tax</Trans>}
      onSubmit={form.onSubmit(({ name, percent, from }) =>
        create.mutate({ body: { book, name: name.trim(), rate: hundredth(percent.trim()), valid_from: toInstant(from) }, headers: { "Idempotency-Key": key } }),
      )}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <Text size="sm" c="dimmed"><Trans>On all invoices by this book. What holds when a month ends is what the month is taxed by.</Trans></Text>
      <Select label={t`Price book`} allowDeselect={false} data={choices} {...form.getInputProps("book")} value={book || null} />
      <div className="aq-fields">
        <TextInput label={t`Name`} data-autofocus placeholder="VAT" {...form.getInputProps("name")} />
        <TextInput label={t`Rate, %`} inputMode="decimal" placeholder="6" {...form.getInputProps("percent")} />
      </div>
      <TextInput type="datetime-local" label={t`From`} description={t`empty: now`} {...form.getInputProps("from")} />
    </FormDialog>
  );
}
