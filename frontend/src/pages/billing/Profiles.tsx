/** Whom each tenant's invoices are made out to. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, NumberInput, Select, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { BillingProfile } from "~/api/__generated__";
import { billingProfilesCreateMutation, billingProfilesListInfiniteOptions, billingProfilesPartialUpdateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { useCan } from "~/api/session";
import { freshKey } from "~/lib/key";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { FormDialog } from "~/parts/FormDialog";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { Empty } from "~/ui/Panel";
import { useTenants } from "./choices";

const query = { ...billingProfilesListInfiniteOptions({ query: { limit: 100 } }), ...byCursor };

export function Profiles() {
  const { t } = useLingui();
  const can = useCan();
  const { nameOf } = useTenants();
  const profiles = useInfiniteQuery(query);
  const [open, show] = useState<BillingProfile | "new">();
  const columns: Column<BillingProfile>[] = [
    { key: "tenant", header: t`Tenant`, cell: (row) => <AppLink path={pb.tenant(row.tenant)} fw={600}>{nameOf(row.tenant)}</AppLink> },
    { key: "name", header: t`Legal name`, cell: (row) => row.legal_name },
    { key: "tax", header: t`Tax number`, cell: (row) => row.tax_id || <Text span c="dimmed" size="sm"><Trans>none</Trans></Text> },
    { key: "days", header: t`To be paid within, days`, align: "right", cell: (row) => row.payment_terms_days },
    { key: "site", header: t`Home site`, cell: (row) => row.home_site },
    { key: "verbs", header: "", align: "right", cell: (row) => can("invoice.issue") && <Button size="compact-xs" variant="default" onClick={() => show(row)}><Trans>Change</Trans></Button> },
  ];
  return (
    <>
      <Group justify="space-between" mt="xl" mb="xs">
        <Text size="sm" c="dimmed"><Trans>Copied onto each invoice as it is issued; what is issued already stays as it is.</Trans></Text>
        {can("invoice.issue") && <Button size="xs" leftSection={<IconPlus size={14} />} onClick={() => show("new")}><Trans>Add a profile</Trans></Button>}
      </Group>
      <QueryTable
        query={profiles}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Billing profiles`}
        empty={<Empty title={<Trans>No profiles yet</Trans>}><Trans>Invoices are made out to tenants by their names.</Trans></Empty>}
      />
      {open && <ProfileForm profile={open === "new" ? undefined : open} onClose={() => show(undefined)} />}
    </>
  );
}

function ProfileForm({ profile, onClose }: { profile?: BillingProfile | undefined; onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const { choices: tenants } = useTenants();
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: {
      tenant: "",
      legal_name: profile?.legal_name ?? "",
      tax_id: profile?.tax_id ?? "",
      address: profile?.address ?? "",
      phone: profile?.phone ?? "",
      bank: profile?.bank ?? "",
      bank_account: profile?.bank_account ?? "",
      email: profile?.email ?? "",
      payment_terms_days: (profile?.payment_terms_days ?? 30) as number | "",
      home_site: profile?.home_site ?? "",
    },
    validate: { tenant: (value) => (profile || value ? null : t`Say for whom`) },
  });
  const done = {
    onSuccess: async () => {
      await client.invalidateQueries();
      onClose();
    },
    onError: (error: unknown) => form.setErrors(fieldErrors(error)),
  };
  const create = useMutation({ ...billingProfilesCreateMutation(), ...done });
  const change = useMutation({ ...billingProfilesPartialUpdateMutation(), ...done });
  return (
    <FormDialog
      title={profile ? <Trans>Change the profile</Trans> : <Trans>Add a profile</Trans>}
      verb={profile ? <Trans>Change it</Trans> : <Trans>Add it</Trans>}
      onSubmit={form.onSubmit(({ tenant, payment_terms_days, ...said }) => {
        const body = { ...said, payment_terms_days: payment_terms_days === "" ? 0 : payment_terms_days };
        if (profile) change.mutate({ path: { id: profile.id }, body, headers: { "If-Match": `"${profile.version}"` } });
        else create.mutate({ body: { ...body, tenant }, headers: { "Idempotency-Key": key } });
      })}
      isPending={create.isPending || change.isPending}
      error={create.error ?? change.error}
      onClose={onClose}
    >
      {!profile && <Select label={t`Tenant`} searchable allowDeselect={false} data={tenants} {...form.getInputProps("tenant")} value={form.values.tenant || null} />}
      <div className="aq-fields">
        <TextInput label={t`Legal name`} {...form.getInputProps("legal_name")} />
        <TextInput label={t`Tax number`} description={t`the unified social credit code; its check digit is looked at`} {...form.getInputProps("tax_id")} />
      </div>
      <div className="aq-fields">
        <TextInput label={t`Address`} {...form.getInputProps("address")} />
        <TextInput label={t`Telephone`} {...form.getInputProps("phone")} />
      </div>
      <div className="aq-fields">
        <TextInput label={t`Bank`} {...form.getInputProps("bank")} />
        <TextInput label={t`Account at the bank`} {...form.getInputProps("bank_account")} />
      </div>
      <div className="aq-fields">
        <TextInput label={t`E-mail`} {...form.getInputProps("email")} />
        <NumberInput label={t`To be paid within, days`} min={0} max={365} allowDecimal={false} {...form.getInputProps("payment_terms_days")} />
      </div>
      <TextInput label={t`Home site`} description={t`whose tenant it is, for settlements between sites`} {...form.getInputProps("home_site")} />
    </FormDialog>
  );
}
