import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, NumberInput, Select, Stack, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Image, NewImageRequest } from "~/api/__generated__";
import { imagesCreateMutation, tenantsListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { freshKey } from "~/lib/key";
import { toSlug } from "~/lib/slug";
import { FORMS } from "~/lib/words";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { useWord } from "~/parts/words";
import { Dialog } from "~/ui/Dialog";

const EVERYBODY = "everybody";

export function AddImage({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const word = useWord();
  const client = useQueryClient();
  const [key] = useState(freshKey);
  const tenants = useQuery(tenantsListOptions({ query: { limit: 200 } }));
  const form = useForm({
    initialValues: { name: "", description: "", tenant: "", form: "container" as Image["form"], reference: "", url: "", sha256: "", format: "" as Image["format"] & string, diskGib: "" as number | "" },
    validate: {
      name: (value) => (value.trim() ? null : t`Give it a name`),
      reference: (value) => (value.trim() ? null : t`Say by what sites know it`),
      sha256: (value, { url }) => (url.trim() && !value.trim() ? t`What is fetched is checked: give the checksum` : null),
    },
  });
  const create = useMutation({
    ...imagesCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => {
      const { slug, min_disk_mib, ...others } = fieldErrors(error);
      form.setErrors({ ...others, name: others.name ?? slug, diskGib: min_disk_mib });
    },
  });
  const { values } = form;
  const isDisk = values.form !== "container";
  const tenant = values.tenant || (tenants.data?.results.length === 1 ? (tenants.data.results[0]?.id ?? "") : "");
  const body = (): NewImageRequest => ({
    tenant: tenant === EVERYBODY || tenant === "" ? null : tenant,
    name: values.name.trim(), slug: toSlug(values.name), description: values.description.trim(), form: values.form, reference: values.reference.trim(),
    ...(isDisk ? { url: values.url.trim(), sha256: values.sha256.trim(), format: values.format, min_disk_mib: Math.round((values.diskGib || 0) * 1024) } : {}),
  });
  return (
    <Dialog isOpen onClose={onClose} title={<Trans>Add an image</Trans>}>
      <form onSubmit={form.onSubmit(() => create.mutate({ body: body(), headers: { "Idempotency-Key": key } }))}>
        <Stack>
          {create.error && <ProblemAlert error={create.error} />}
          <TextInput label={t`Name`} data-autofocus placeholder="Debian 12" {...form.getInputProps("name")} />
          <div className="aq-fields">
            <Select label={t`Starts as`} allowDeselect={false} data={["container", "vm", "server"].map((value) => ({ value, label: word(FORMS, value) }))} {...form.getInputProps("form")} />
            <Select
              label={t`Whose`}
              allowDeselect={false}
              data={[{ value: EVERYBODY, label: t`for everybody` }, ...(tenants.data?.results.map((one) => ({ value: one.id, label: one.name })) ?? [])]}
              {...form.getInputProps("tenant")}
              value={tenant || EVERYBODY}
            />
          </div>
          <TextInput label={t`Reference`} description={isDisk ? t`the name by which sites keep it` : t`as sites fetch it`} placeholder={isDisk ? "debian-12.qcow2" : "registry.example.org/team/train:1.4"} className="aq-mono" {...form.getInputProps("reference")} />
          {isDisk && (
            <>
              <TextInput label={t`Address`} description={t`where sites fetch it if they do not have it`} placeholder="https://images.example.org/debian-12.qcow2" {...form.getInputProps("url")} />
              <TextInput label={t`Checksum`} description={t`SHA-256 of the file`} className="aq-mono" {...form.getInputProps("sha256")} />
              <div className="aq-fields">
                <Select label={t`Format`} data={values.form === "vm" ? ["qcow2", "raw"] : ["raw", "qcow2", "iso"]} clearable {...form.getInputProps("format")} onChange={(value) => form.setFieldValue("format", (value ?? "") as typeof values.format)} value={values.format || null} />
                <NumberInput label={t`Least disk, GiB`} min={0} decimalScale={2} {...form.getInputProps("diskGib")} />
              </div>
            </>
          )}
          <Textarea label={t`Description`} autosize minRows={2} {...form.getInputProps("description")} />
          <Group justify="flex-end"><Button type="submit" loading={create.isPending}><Trans>Add</Trans></Button></Group>
        </Stack>
      </form>
    </Dialog>
  );
}
