import { Trans, useLingui } from "@lingui/react/macro";
import { NumberInput, Select } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { EveryEnum } from "~/api/__generated__";
import { exportSchedulesCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { EVERY } from "~/lib/billing-words";
import { freshKey } from "~/lib/key";
import { FormDialog } from "~/parts/FormDialog";
import { useWord } from "~/parts/words";
import { FIRST, useTenant, WhatFields } from "./WhatFields";

export function NewSchedule({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const word = useWord();
  const client = useQueryClient();
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: { ...FIRST, every: "month" as EveryEnum, hour: 3 as number | string },
    validate: { hour: (value) => (value === "" ? t`From 0 to 23` : null) },
  });
  const { tenant, isOfPlatform } = useTenant(form.values.tenant);
  const create = useMutation({
    ...exportSchedulesCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => form.setErrors(fieldErrors(error)),
  });
  return (
    <FormDialog
      title={<Trans>Add a schedule</Trans>}
      verb={<Trans>Add the schedule</Trans>}
      onSubmit={form.onSubmit(({ kind, format, target, every, hour }) => {
        if (!tenant && !isOfPlatform) return form.setErrors({ tenant: t`Say for whom` });
        create.mutate({ body: { kind, format, every, hour: Number(hour), tenant: tenant || null, target: target || null }, headers: { "Idempotency-Key": key } });
      })}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <Select label={t`When`} allowDeselect={false} data={Object.keys(EVERY).map((value) => ({ value, label: word(EVERY, value) }))} {...form.getInputProps("every")} />
      <NumberInput label={t`Hour`} description={t`of the time zone of billing`} min={0} max={23} allowDecimal={false} {...form.getInputProps("hour")} />
      <WhatFields what={form.values} errors={form.errors} onChange={(what) => form.setValues(what)} />
    </FormDialog>
  );
}
