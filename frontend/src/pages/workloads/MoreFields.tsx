/** What most work does without: variables, ports, storage, secrets of the site, time to end in. */
import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Checkbox, Group, NumberInput, Paper, Select, Stack, TagsInput, Text, Textarea, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { freshKey } from "~/lib/key";
import type { Draft } from "./draft";

type Form = UseFormReturnType<Draft>;

export function MoreFields({ form }: { form: Form }) {
  const { t } = useLingui();
  return (
    <Stack>
      <Textarea label={t`Variables`} description={t`NAME=value, one a line`} autosize minRows={2} className="aq-mono" {...form.getInputProps("env")} />
      <TagsInput label={t`Secrets as variables`} description={t`names of secrets that the site keeps; each of their values becomes a variable`} {...form.getInputProps("secret_env")} />
      <div className="aq-fields">
        <TagsInput label={t`Ports`} description={t`it listens on; Enter after each`} inputMode="numeric" {...form.getInputProps("ports")} />
        <TagsInput label={t`Pull secrets`} description={t`for its image; names, kept by the site`} {...form.getInputProps("pull_secrets")} />
        <NumberInput label={t`Time to end, seconds`} description={t`from asking it to end until it is ended`} placeholder="10" min={0} max={3600} allowDecimal={false} {...form.getInputProps("graceSeconds")} />
      </div>
      <Volumes form={form} />
    </Stack>
  );
}

function Volumes({ form }: { form: Form }) {
  const { t } = useLingui();
  const add = () => form.insertListItem("volumes", { key: freshKey(), path: "", kind: "claim", source: "", sizeGib: "", isReadOnly: false });
  return (
    <Stack gap="xs">
      <Text size="sm" fw={600}><Trans>Storage</Trans></Text>
      {form.values.volumes.map((volume, at) => (
        <Paper key={volume.key} withBorder p="sm" className="aq-panel">
          <Group align="flex-start" wrap="nowrap" gap="sm">
            <div className="aq-fields aq-grow">
              <TextInput label={t`Path`} placeholder="/data" {...form.getInputProps(`volumes.${at}.path`)} />
              <Select
                label={t`Kind`}
                allowDeselect={false}
                data={[
                  { value: "claim", label: t`Storage that is there` },
                  { value: "scratch", label: t`Empty, on disk` },
                  { value: "memory", label: t`Empty, in memory` },
                ]}
                {...form.getInputProps(`volumes.${at}.kind`)}
              />
              {volume.kind === "claim" ? (
                <>
                  <TextInput label={t`Its name at the site`} placeholder="datasets" {...form.getInputProps(`volumes.${at}.source`)} />
                  <Checkbox label={t`Read only`} className="aq-beside" {...form.getInputProps(`volumes.${at}.isReadOnly`, { type: "checkbox" })} />
                </>
              ) : (
                <NumberInput label={t`At most, GiB`} min={0} decimalScale={2} {...form.getInputProps(`volumes.${at}.sizeGib`)} />
              )}
            </div>
            <ActionIcon variant="subtle" color="gray" mt={26} aria-label={t`Remove this storage`} onClick={() => form.removeListItem("volumes", at)}><IconTrash size={18} /></ActionIcon>
          </Group>
        </Paper>
      ))}
      {form.errors.volumes && <Text size="xs" c="var(--mantine-color-error)">{form.errors.volumes}</Text>}
      <div><Button variant="default" size="xs" leftSection={<IconPlus size={14} />} onClick={add}><Trans>Add storage</Trans></Button></div>
    </Stack>
  );
}
