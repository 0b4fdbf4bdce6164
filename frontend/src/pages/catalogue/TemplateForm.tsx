/** Makes a template, or changes one. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Select, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Template } from "~/api/__generated__";
import { templatesCreateMutation, templatesPartialUpdateMutation, tenantsListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { freshKey } from "~/lib/key";
import { toSlug } from "~/lib/slug";
import { FormDialog } from "~/parts/FormDialog";
import { readWork, type TemplateDraft, type Work, workText } from "./template-draft";

const EVERYBODY = "everybody";

interface Props {
  /** The one to change. */
  template?: Template;
  /** What a new one says at first. */
  work?: Work;
  onClose: () => void;
}

export function TemplateForm({ template, work = { kind: "batch", accelerators: 1 }, onClose }: Props) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [key] = useState(freshKey);
  const tenants = useQuery(tenantsListOptions({ query: { limit: 200 } })).data?.results ?? [];
  const form = useForm<TemplateDraft>({
    initialValues: { name: template?.name ?? "", description: template?.description ?? "", tenant: "", work: workText(template?.work ?? work) },
    validate: {
      name: (value) => (value.trim() ? null : t`Give it a name`),
      work: (value) => (readWork(value) ? null : t`This is no JSON object`),
    },
  });
  const done = {
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error: unknown) => {
      const { slug, ...others } = fieldErrors(error);
      form.setErrors({ ...others, name: others.name ?? slug });
    },
  };
  const create = useMutation({ ...templatesCreateMutation(), ...done });
  const edit = useMutation({ ...templatesPartialUpdateMutation(), ...done });
  const tenant = form.values.tenant || (tenants.length === 1 ? (tenants[0]?.id ?? "") : "");
  const save = ({ name, description, work: said }: TemplateDraft) => {
    const facts = { name: name.trim(), description: description.trim(), work: readWork(said) ?? {} };
    if (template) return edit.mutate({ path: { id: template.id }, body: facts, headers: { "If-Match": `"${template.version}"` } });
    create.mutate({ body: { ...facts, slug: toSlug(name), tenant: tenant && tenant !== EVERYBODY ? tenant : null }, headers: { "Idempotency-Key": key } });
  };
  return (
    <FormDialog
      title={template ? <Trans>Change {template.name}</Trans> : <Trans>Make a template</Trans>}
      verb={template ? <Trans>Save</Trans> : <Trans>Make the template</Trans>}
      size="lg"
      onSubmit={form.onSubmit(save)}
      isPending={create.isPending || edit.isPending}
      error={create.error ?? edit.error}
      onClose={onClose}
    >
      <div className="aq-fields">
        <TextInput label={t`Name`} data-autofocus {...form.getInputProps("name")} />
        {!template && (
          <Select
            label={t`Whose`}
            allowDeselect={false}
            data={[{ value: EVERYBODY, label: t`for everybody` }, ...tenants.map((one) => ({ value: one.id, label: one.name }))]}
            {...form.getInputProps("tenant")}
            value={tenant || EVERYBODY}
          />
        )}
      </div>
      <TextInput label={t`Description`} {...form.getInputProps("description")} />
      <Textarea label={t`Says`} description={t`fields of new work in JSON, as the API takes them; without name, project and pool`} autosize minRows={8} maxRows={20} className="aq-mono" {...form.getInputProps("work")} />
    </FormDialog>
  );
}
