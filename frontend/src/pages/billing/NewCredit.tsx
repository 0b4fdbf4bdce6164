import { Trans, useLingui } from "@lingui/react/macro";
import { Select, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { CreditKind } from "~/api/__generated__";
import { creditsCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { CREDIT_KINDS } from "~/lib/billing-words";
import { toInstant } from "~/lib/instant";
import { freshKey } from "~/lib/key";
import { FormDialog } from "~/parts/FormDialog";
import { useWord } from "~/parts/words";
import { useTenants } from "./choices";
import { isAmount } from "./price-draft";

/** Amounts stay text from the field to the server, so that no digit is lost on the way. */
export function NewCredit({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const word = useWord();
  const client = useQueryClient();
  const { choices: tenants } = useTenants();
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: { tenant: "", kind: "top-up" as CreditKind, amount: "", expires: "", note: "" },
    validate: {
      tenant: (value) => (value ? null : t`Say for whom`),
      amount: (value) => (isAmount(value, 2) && /[1-9]/.test(value) ? null : t`Write it as 1234.56`),
    },
  });
  const create = useMutation({
    ...creditsCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => {
      const { expires_at, ...others } = fieldErrors(error);
      form.setErrors({ ...others, expires: expires_at });
    },
  });
  return (
    <FormDialog
      title={<Trans>Top up or grant</Trans>}
      verb={<Trans>Put it into the wallet</Trans>}
      onSubmit={form.onSubmit(({ tenant, kind, amount, expires, note }) =>
        create.mutate({ body: { tenant, kind, amount: amount.trim(), expires_at: toInstant(expires) ?? null, note: note.trim() }, headers: { "Idempotency-Key": key } }),
      )}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <div className="aq-fields">
        <Select label={t`Tenant`} searchable allowDeselect={false} data={tenants} {...form.getInputProps("tenant")} value={form.values.tenant || null} />
        <Select label={t`Kind`} allowDeselect={false} data={Object.keys(CREDIT_KINDS).map((value) => ({ value, label: word(CREDIT_KINDS, value) }))} {...form.getInputProps("kind")} />
      </div>
      <div className="aq-fields">
        <TextInput label={t`Amount`} withAsterisk inputMode="decimal" placeholder="1000.00" {...form.getInputProps("amount")} />
        <TextInput type="datetime-local" label={t`Expires`} description={t`empty: never`} {...form.getInputProps("expires")} />
      </div>
      <TextInput label={t`Note`} description={t`as a reference of the bank, or why it is given`} {...form.getInputProps("note")} />
    </FormDialog>
  );
}
