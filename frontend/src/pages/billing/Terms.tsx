/** By which book, and as which class, each tenant pays from an instant on; and whom its invoices are made out to. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Checkbox, Group, Select, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { BillingTerm, TenantClassEnum } from "~/api/__generated__";
import { billingTermsCreateMutation, billingTermsListInfiniteOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { useCan } from "~/api/session";
import { TENANT_CLASSES } from "~/lib/billing-words";
import { toInstant } from "~/lib/instant";
import { freshKey } from "~/lib/key";
import { pb } from "~/lib/path-builder";
import { formatMoment } from "~/lib/time";
import { AppLink } from "~/parts/AppLink";
import { FormDialog } from "~/parts/FormDialog";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { useWord } from "~/parts/words";
import { Empty } from "~/ui/Panel";
import { useBooks, useTenants } from "./choices";
import { Profiles } from "./Profiles";

const query = { ...billingTermsListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };

export function Terms() {
  const { t, i18n } = useLingui();
  const can = useCan();
  const word = useWord();
  const { nameOf } = useTenants();
  const { choices: books } = useBooks();
  const terms = useInfiniteQuery(query);
  const [isSetting, { open, close }] = useDisclosure(false);
  const columns: Column<BillingTerm>[] = [
    { key: "tenant", header: t`Tenant`, cell: (row) => <AppLink path={pb.tenant(row.tenant)} fw={600}>{nameOf(row.tenant)}</AppLink> },
    { key: "book", header: t`Price book`, cell: (row) => books.find(({ value }) => value === row.book)?.label ?? row.book },
    { key: "class", header: t`Pays as`, cell: (row) => word(TENANT_CLASSES, row.tenant_class) },
    { key: "tax", header: t`Tax`, cell: (row) => (row.is_taxed ? <Trans>with tax</Trans> : <Trans>without tax</Trans>) },
    { key: "from", header: t`From`, cell: (row) => <span className="aq-nowrap">{formatMoment(row.valid_from, i18n.locale)}</span> },
  ];
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text size="sm" c="dimmed"><Trans>A term holds until the next of the same tenant begins. Who has none is external and pays by the default book.</Trans></Text>
        {can("price.edit") && <Button size="xs" leftSection={<IconPlus size={14} />} onClick={open}><Trans>Set terms</Trans></Button>}
      </Group>
      <QueryTable
        query={terms}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Billing terms`}
        empty={<Empty title={<Trans>No terms yet</Trans>}><Trans>Every tenant pays by the default book, as external.</Trans></Empty>}
      />
      {isSetting && <NewTerm onClose={close} />}
      <Profiles />
    </>
  );
}

function NewTerm({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const word = useWord();
  const client = useQueryClient();
  const { choices: tenants } = useTenants();
  const { choices: books } = useBooks();
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: { tenant: "", book: "", tenantClass: "external" as TenantClassEnum, isTaxed: true, from: "" },
    validate: { tenant: (value) => (value ? null : t`Say for whom`), book: (value) => (value ? null : t`Choose a price book`) },
  });
  const create = useMutation({
    ...billingTermsCreateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error) => {
      const { tenant_class, valid_from, ...others } = fieldErrors(error);
      form.setErrors({ ...others, tenantClass: tenant_class, from: valid_from });
    },
  });
  return (
    <FormDialog
      title={<Trans>Set terms</Trans>}
      verb={<Trans>Set the terms</Trans>}
      onSubmit={form.onSubmit(({ tenant, book, tenantClass, isTaxed, from }) =>
        create.mutate({ body: { tenant, book, tenant_class: tenantClass, is_taxed: isTaxed, valid_from: toInstant(from) }, headers: { "Idempotency-Key": key } }),
      )}
      isPending={create.isPending}
      error={create.error}
      onClose={onClose}
    >
      <Select label={t`Tenant`} searchable allowDeselect={false} data={tenants} {...form.getInputProps("tenant")} value={form.values.tenant || null} />
      <Select label={t`Price book`} allowDeselect={false} data={books} {...form.getInputProps("book")} value={form.values.book || null} />
      <div className="aq-fields">
        <Select label={t`Pays as`} allowDeselect={false} data={Object.keys(TENANT_CLASSES).map((value) => ({ value, label: word(TENANT_CLASSES, value) }))} {...form.getInputProps("tenantClass")} />
        <TextInput type="datetime-local" label={t`From`} description={t`empty: now`} {...form.getInputProps("from")} />
      </div>
      <Checkbox label={t`Its invoices carry the taxes of the book`} {...form.getInputProps("isTaxed", { type: "checkbox" })} />
    </FormDialog>
  );
}
