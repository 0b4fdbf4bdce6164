import { Trans, useLingui } from "@lingui/react/macro";
import { Select } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { exportsCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { freshKey } from "~/lib/key";
import { FormDialog } from "~/parts/FormDialog";
import { useRecentMonths } from "~/parts/useRecentMonths";
import { FIRST, useTenant, WhatFields } from "./WhatFields";

export function NewExport({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [key] = useState(freshKey);
  const months = useRecentMonths();
  const form = useForm({ initialValues: { ...FIRST, period: months[1] ?? "" } });
  const { tenant, isOfPlatform } = useTenant(form.values.tenant);
  const create = useMutation({
    ...exportsCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => form.setErrors(fieldErrors(error)),
  });
  return (
    <FormDialog
      title={<Trans>New export</Trans>}
      verb={<Trans>Export</Trans>}
      onSubmit={form.onSubmit(({ kind, format, period, target }) => {
        if (!tenant && !isOfPlatform) return form.setErrors({ tenant: t`Say for whom` });
        create.mutate({ body: { kind, format, period, tenant: tenant || null, target: target || null }, headers: { "Idempotency-Key": key } });
      })}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <Select label={t`Month`} description={t`as the ledger stands now`} allowDeselect={false} data={months} {...form.getInputProps("period")} />
      <WhatFields what={form.values} errors={form.errors} onChange={(what) => form.setValues(what)} />
    </FormDialog>
  );
}
