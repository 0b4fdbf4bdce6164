/** From how many units of a month on a unit costs what. */
import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Button, Group, Select, Stack, Text, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { TIER_MODES, TIER_SCOPES } from "~/lib/billing-words";
import { freshKey } from "~/lib/key";
import { useWord } from "~/parts/words";
import type { PriceDraft } from "./price-draft";

export function TierFields({ form }: { form: UseFormReturnType<PriceDraft> }) {
  const { t } = useLingui();
  const word = useWord();
  const { tiers } = form.values;
  return (
    <Stack gap="xs">
      {tiers.length > 0 && (
        <div className="aq-fields">
          <Select label={t`Tiers count`} allowDeselect={false} data={Object.keys(TIER_MODES).map((value) => ({ value, label: word(TIER_MODES, value) }))} {...form.getInputProps("tierMode")} />
          <Select label={t`Summed`} allowDeselect={false} data={Object.keys(TIER_SCOPES).map((value) => ({ value, label: word(TIER_SCOPES, value) }))} {...form.getInputProps("tierScope")} />
        </div>
      )}
      {tiers.map((tier, at) => (
        <Group key={tier.key} align="flex-start" wrap="nowrap" gap="sm">
          <div className="aq-fields aq-grow">
            <TextInput label={t`From, hours of a month`} inputMode="decimal" placeholder="1000" {...form.getInputProps(`tiers.${at}.start`)} />
            <TextInput label={t`Price from there on`} inputMode="decimal" placeholder="9.80" {...form.getInputProps(`tiers.${at}.price`)} />
          </div>
          <ActionIcon variant="subtle" color="gray" mt={26} aria-label={t`Remove this tier`} onClick={() => form.removeListItem("tiers", at)}><IconTrash size={18} /></ActionIcon>
        </Group>
      ))}
      <Group gap="sm">
        <Button variant="default" size="xs" leftSection={<IconPlus size={14} />} onClick={() => form.insertListItem("tiers", { key: freshKey(), start: "", price: "" })}><Trans>Add a tier</Trans></Button>
        {tiers.length === 0 && <Text size="xs" c="dimmed"><Trans>None: every hour costs the same.</Trans></Text>}
      </Group>
    </Stack>
  );
}
