import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { InvoiceWithTotals } from "~/api/__generated__";
import { paymentsCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { freshKey } from "~/lib/key";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Dialog } from "~/ui/Dialog";
import { stillDue } from "./still-due";

/** Amounts stay text from the field to the server, so that no digit is lost on the way. */
export function NewPayment({ invoice, onClose }: { invoice: InvoiceWithTotals; onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [key] = useState(freshKey);
  const [today] = useState(() => new Date().toLocaleDateString("sv")); // as 2026-11-30
  const form = useForm({
    initialValues: { amount: stillDue(invoice.payable, invoice.paid, invoice.from_wallet), received_on: today, reference: "" },
    validate: {
      amount: (value) => (/^-?\d+(\.\d{1,2})?$/.test(value.trim()) ? null : t`Write it as 1234.56`),
      received_on: (value) => (/^\d{4}-\d\d-\d\d$/.test(value) ? null : t`Choose a day`),
      reference: (value) => (value.trim() ? null : t`Say how the bank names it`),
    },
  });
  const create = useMutation({
    ...paymentsCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => form.setErrors(fieldErrors(error)),
  });
  return (
    <Dialog isOpen onClose={onClose} title={<Trans>Payment for {invoice.number}</Trans>}>
      <form
        onSubmit={form.onSubmit(({ amount, received_on, reference }) =>
          create.mutate({
            body: { invoice: invoice.id, amount: amount.trim(), received_on, reference: reference.trim() },
            headers: { "Idempotency-Key": key },
          }),
        )}
      >
        <Stack>
          {create.error && <ProblemAlert error={create.error} />}
          <TextInput label={t`Amount, ${invoice.currency}`} inputMode="decimal" data-autofocus {...form.getInputProps("amount")} />
          <TextInput label={t`Received on`} type="date" {...form.getInputProps("received_on")} />
          <TextInput label={t`Reference`} description={t`as the bank has it`} {...form.getInputProps("reference")} />
          <Group justify="flex-end"><Button type="submit" loading={create.isPending}><Trans>Record the payment</Trans></Button></Group>
        </Stack>
      </form>
    </Dialog>
  );
}
