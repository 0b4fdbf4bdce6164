import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, NumberInput, Select, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { tokensCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { useSession } from "~/api/session";
import { freshKey } from "~/lib/key";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Dialog } from "~/ui/Dialog";
import { Copyable } from "~/ui/Copyable";

const EVERYTHING = "*";
const READING = "*.view";

export function NewToken({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const session = useSession();
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: { name: "", days: 90, may: READING, scopes: [] as string[] },
    validate: {
      name: (value) => (value.trim() ? null : t`Give it a name`),
      scopes: (value, { may }) => (may === "some" && value.length === 0 ? t`Name at least one permission` : null),
    },
  });
  const create = useMutation({
    ...tokensCreateMutation(),
    onSuccess: () => client.invalidateQueries(),
    onError: (error) => form.setErrors(fieldErrors(error)),
  });
  return (
    <Dialog isOpen onClose={onClose} isHeld={create.data !== undefined} title={<Trans>New token</Trans>}>
      {create.data ? (
        <Stack>
          <Text size="sm"><Trans>Copy it now: it is not shown again.</Trans></Text>
          <Copyable label={t`the token`} value={create.data.secret} />
          <Group justify="flex-end"><Button variant="default" onClick={onClose}><Trans>Done</Trans></Button></Group>
        </Stack>
      ) : (
        <form
          onSubmit={form.onSubmit(({ name, days, may, scopes }) =>
            create.mutate({ body: { name: name.trim(), days, scopes: may === "some" ? scopes : [may] }, headers: { "Idempotency-Key": key } }),
          )}
        >
          <Stack>
            {create.error && <ProblemAlert error={create.error} />}
            <TextInput label={t`Name`} placeholder={t`what uses it`} data-autofocus {...form.getInputProps("name")} />
            <NumberInput label={t`Ends after, days`} min={1} max={365} allowDecimal={false} {...form.getInputProps("days")} />
            <Select
              label={t`May`}
              allowDeselect={false}
              data={[
                { value: READING, label: t`read everything that I may read` },
                { value: EVERYTHING, label: t`do everything that I may do` },
                { value: "some", label: t`only what I name` },
              ]}
              {...form.getInputProps("may")}
            />
            {form.values.may === "some" && <TagsInput label={t`Permissions`} description={t`such as workload.*`} data={session?.permissions ?? []} {...form.getInputProps("scopes")} />}
            <Group justify="flex-end"><Button type="submit" loading={create.isPending}><Trans>Make the token</Trans></Button></Group>
          </Stack>
        </form>
      )}
    </Dialog>
  );
}
