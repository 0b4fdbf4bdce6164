/** How a virtual machine or a leased server starts, and who may enter it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { NumberInput, Select, Stack, Text, Textarea } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import type { Draft } from "./draft";

export function MachineFields({ form }: { form: UseFormReturnType<Draft> }) {
  const { t } = useLingui();
  const isServer = form.values.kind === "server";
  return (
    <Stack>
      <Textarea label={t`Who may enter`} description={t`public keys for SSH, one a line`} placeholder="ssh-ed25519 AAAA… me@desk" autosize minRows={2} maxRows={6} className="aq-mono" {...form.getInputProps("sshKeys")} />
      <div className="aq-fields">
        {isServer ? (
          <Select
            label={t`Starts from`}
            allowDeselect={false}
            data={[
              { value: "disk", label: t`its disk` },
              { value: "pxe", label: t`the network (PXE)` },
              { value: "virtual-media", label: t`an image as virtual media` },
            ]}
            {...form.getInputProps("bootFrom")}
          />
        ) : (
          <NumberInput label={t`Disk, GiB`} description={t`empty: as large as the image`} min={0} decimalScale={2} {...form.getInputProps("diskGib")} />
        )}
      </div>
      <Textarea label={t`For cloud-init`} description={t`user data, as cloud-init reads it`} placeholder="#cloud-config" autosize minRows={2} maxRows={10} className="aq-mono" {...form.getInputProps("userData")} />
      {isServer && <Text size="xs" c="dimmed"><Trans>A server is leased whole. At the end it is switched off and wiped before anybody else gets it.</Trans></Text>}
    </Stack>
  );
}
