import { Trans, useLingui } from "@lingui/react/macro";
import { Checkbox, PasswordInput, Select, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { exportTargetsCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { freshKey } from "~/lib/key";
import { FormDialog } from "~/parts/FormDialog";
import { useTenant } from "./WhatFields";

const NO_HELP = { autoComplete: "off", autoCorrect: "off", autoCapitalize: "off", spellCheck: false } as const;

export function NewTarget({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [key] = useState(freshKey);
  const needed = (value: string) => (value.trim() ? null : t`It is needed`);
  const form = useForm({
    initialValues: { tenant: "", slug: "", endpoint: "", bucket: "", prefix: "", region: "us-east-1", path_style: true, access_key: "", secret_key: "" },
    validate: { slug: needed, endpoint: needed, bucket: needed, region: needed, access_key: needed, secret_key: needed },
  });
  const { tenant, choices, isOfPlatform } = useTenant(form.values.tenant);
  const create = useMutation({
    ...exportTargetsCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => form.setErrors(fieldErrors(error)),
  });
  return (
    <FormDialog
      title={<Trans>Add a target</Trans>}
      verb={<Trans>Add the target</Trans>}
      size="lg"
      onSubmit={form.onSubmit(({ slug, endpoint, bucket, prefix, region, path_style, access_key, secret_key }) => {
        if (!tenant && !isOfPlatform) return form.setErrors({ tenant: t`Say for whom` });
        create.mutate({
          body: { tenant: tenant || null, slug: slug.trim(), endpoint: endpoint.trim(), bucket: bucket.trim(), prefix: prefix.trim(), region: region.trim(), path_style, access_key: access_key.trim(), secret_key: secret_key.trim() },
          headers: { "Idempotency-Key": key },
        });
      })}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <Text size="sm" c="dimmed"><Trans>The keys are sealed for this address and bucket, and nobody is shown them again.</Trans></Text>
      <div className="aq-fields">
        <TextInput label={t`Name`} description={t`small letters, digits and hyphens`} placeholder="finance" data-autofocus {...NO_HELP} {...form.getInputProps("slug")} />
        <Select
          label={t`For exports of`}
          description={t`whom it belongs to`}
          searchable
          clearable={isOfPlatform}
          allowDeselect={isOfPlatform}
          placeholder={isOfPlatform ? t`all tenants` : undefined}
          data={choices}
          value={tenant || null}
          error={form.errors.tenant}
          onChange={(value) => form.setFieldValue("tenant", value ?? "")}
        />
      </div>
      <TextInput label={t`Address`} description={t`of S3, or of what speaks it`} placeholder="https://s3.example.org" {...NO_HELP} {...form.getInputProps("endpoint")} />
      <div className="aq-fields">
        <TextInput label={t`Bucket`} {...NO_HELP} {...form.getInputProps("bucket")} />
        <TextInput label={t`Prefix`} placeholder="aquifer/" {...NO_HELP} {...form.getInputProps("prefix")} />
        <TextInput label={t`Region`} {...NO_HELP} {...form.getInputProps("region")} />
      </div>
      <div className="aq-fields">
        <PasswordInput label={t`Access key`} visibilityToggleButtonProps={{ "aria-label": t`Show the access key` }} {...NO_HELP} {...form.getInputProps("access_key")} autoComplete="new-password" />
        <PasswordInput label={t`Secret key`} visibilityToggleButtonProps={{ "aria-label": t`Show the secret key` }} {...NO_HELP} {...form.getInputProps("secret_key")} autoComplete="new-password" />
      </div>
      <Checkbox label={t`The bucket is in the path, not in the host's name`} {...form.getInputProps("path_style", { type: "checkbox" })} />
    </FormDialog>
  );
}
