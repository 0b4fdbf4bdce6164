import { Trans, useLingui } from "@lingui/react/macro";
import { NumberInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { pricesCreateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { METERS, SERVICE_CLASSES, TENANT_CLASSES } from "~/lib/billing-words";
import { freshKey } from "~/lib/key";
import { MODES } from "~/lib/words";
import { FormDialog } from "~/parts/FormDialog";
import { useWord } from "~/parts/words";
import { Fold } from "~/ui/Fold";
import { useBooks, useFlavors, useSites, useTenants } from "./choices";
import { isAmount, needsFlavor, NO_PRICE, type PriceDraft, priceRequest, tiersOutOfOrder } from "./price-draft";
import { TierFields } from "./TierFields";

/** `start`: what is known already, as of the price that the new one follows. */
export function NewPrice({ start = {}, onClose }: { start?: Partial<PriceDraft>; onClose: () => void }) {
  const { t } = useLingui();
  const word = useWord();
  const client = useQueryClient();
  const { books, choices: bookChoices } = useBooks();
  const { choices: tenants } = useTenants();
  const flavors = useFlavors();
  const sites = useSites();
  const [key] = useState(freshKey);
  const form = useForm<PriceDraft>({
    initialValues: { ...NO_PRICE, ...start },
    validate: (draft) => ({
      ...(needsFlavor(draft.meter) && !draft.flavor ? { flavor: t`Say for what` } : {}),
      ...(isAmount(draft.price) ? {} : { price: t`A number with at most 6 decimals` }),
      ...Object.fromEntries(tiersOutOfOrder(draft.tiers).map((at) => [`tiers.${at}.start`, t`Each begins above the one before it`])),
      ...Object.fromEntries(draft.tiers.flatMap((tier, at) => (isAmount(tier.price) ? [] : [[`tiers.${at}.price`, t`A number with at most 6 decimals`]]))),
    }),
  });
  const create = useMutation({
    ...pricesCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => {
      const { unit_price, valid_from, valid_to, tenant_class, slicing_mode, service_class, tiers, ...others } = fieldErrors(error);
      form.setErrors({ ...others, price: unit_price, from: valid_from, to: valid_to, tenantClass: tenant_class, slicingMode: slicing_mode, serviceClass: service_class, "tiers.0.start": tiers });
    },
  });
  const { values } = form;
  const book = books.find(({ slug }) => slug === values.book) ?? books.find(({ is_default }) => is_default);
  const some = (words: Parameters<typeof word>[0]) => Object.keys(words).map((value) => ({ value, label: word(words, value) }));
  const any = { clearable: true, placeholder: t`any` };
  /** A field that may stay empty is "" in the draft and nothing in the field. */
  const choice = (field: "flavor" | "tenant" | "tenantClass" | "site" | "slicingMode" | "serviceClass") => ({
    ...form.getInputProps(field),
    value: values[field] || null,
    onChange: (value: string | null) => form.setFieldValue(field, value ?? ""),
  });
  const hasMore = Boolean(values.tenantClass || values.site || values.slicingMode || values.serviceClass || values.minimumSeconds || values.stepSeconds);
  return (
    <FormDialog
      title={<Trans>Set a price</Trans>}
      verb={<Trans>Set the price</Trans>}
      size="xl"
      onSubmit={form.onSubmit((draft) => create.mutate({ body: priceRequest(draft, books), headers: { "Idempotency-Key": key } }))}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <Text size="sm" c="dimmed"><Trans>The price that holds when this one begins ends there. What was asked for until then stays as it was.</Trans></Text>
      <div className="aq-fields aq-fields-small">
        <Select label={t`Price book`} allowDeselect={false} data={bookChoices} {...form.getInputProps("book")} value={book?.slug ?? null} />
        <Select label={t`What is counted`} allowDeselect={false} data={some(METERS).filter(({ value }) => value !== "reservation")} {...form.getInputProps("meter")} />
        <Select label={t`Flavor`} searchable {...(needsFlavor(values.meter) ? {} : any)} data={flavors} {...choice("flavor")} />
        <Select label={t`Tenant`} searchable clearable placeholder={t`everybody`} data={tenants} {...choice("tenant")} />
      </div>
      <div className="aq-fields">
        <TextInput label={book ? t`Price of an hour, ${book.currency}` : t`Price of an hour`} description={t`of a whole card or core; of a GiB; of a kWh`} inputMode="decimal" placeholder="12.50" {...form.getInputProps("price")} />
        <TextInput type="datetime-local" label={t`From`} description={t`empty: now`} {...form.getInputProps("from")} />
        <TextInput type="datetime-local" label={t`Until`} description={t`empty: until another begins`} {...form.getInputProps("to")} />
      </div>
      <TierFields form={form} />
      <Fold label={<Trans>Only for some, and least amounts</Trans>} startsOpen={hasMore} hasError={["tenantClass", "site", "slicingMode", "serviceClass", "minimum_seconds", "step_seconds"].some((field) => field in form.errors)}>
        <Stack>
          <div className="aq-fields aq-fields-small">
            <Select label={t`Class of tenant`} {...any} data={some(TENANT_CLASSES)} {...choice("tenantClass")} />
            <Select label={t`Site`} searchable {...any} data={sites} {...choice("site")} />
            <Select label={t`Handed out`} {...any} data={some(MODES)} {...choice("slicingMode")} />
            <Select label={t`Class of service`} {...any} data={some(SERVICE_CLASSES)} {...choice("serviceClass")} />
          </div>
          <div className="aq-fields">
            <NumberInput label={t`Billed at least, seconds`} placeholder="0" min={0} allowDecimal={false} {...form.getInputProps("minimumSeconds")} error={form.errors.minimum_seconds} />
            <NumberInput label={t`Billed in steps of, seconds`} placeholder="1" min={1} allowDecimal={false} {...form.getInputProps("stepSeconds")} error={form.errors.step_seconds} />
          </div>
        </Stack>
      </Fold>
    </FormDialog>
  );
}
