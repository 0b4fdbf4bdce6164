import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Radio, Select, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { clustersCreate, joinTokensCreate, sitesCreate } from "~/api/__generated__";
import { sitesListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { freshKey } from "~/lib/key";
import { toSlug } from "~/lib/slug";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { ConnectionFields } from "./ConnectionFields";
import { connectionErrors, type Direct, errorsUnder, isFilled, NO_CONNECTION, settingsOf, toConnection, WAYS_IN } from "./connection";
import type { Joined } from "./JoinedCluster";

const NEW = "new";

/** What joins: a machine or a cluster by an agent that calls out, or a cluster that the hub calls. */
const WAYS = {
  machine: { kind: "baremetal", driver: "agent" },
  agent: { kind: "kubernetes", driver: "agent" },
  direct: { kind: "kubernetes", driver: "kubernetes" },
  kvm: { kind: "kvm", driver: "kvm" },
  docker: { kind: "docker", driver: "docker" },
  servers: { kind: "baremetal", driver: "redfish" },
} as const;

const directOf = (way: keyof typeof WAYS): Direct | null => {
  const { driver } = WAYS[way];
  return driver === "agent" ? null : driver;
};

export function AddSiteForm({ onJoined }: { onJoined: (joined: Joined) => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const sites = useQuery(sitesListOptions({ query: { limit: 200 } }));
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: { way: "machine" as keyof typeof WAYS, site: NEW, siteName: "", name: "", connection: NO_CONNECTION },
    validate: {
      siteName: (value, { site }) => (site !== NEW || value.trim() ? null : t`Give the place a name`),
      name: (value, { way }) => (value.trim() ? null : way === "machine" ? t`Give the machine a name` : t`Give the cluster a name`),
    },
  });
  const { way, connection } = form.values;
  const direct = directOf(way);
  const add = useMutation({
    mutationFn: async (values: typeof form.values): Promise<Joined> => {
      // Each step carries a key, so that pressing again after a failure goes on where it stopped.
      const headers = (step: string) => ({ "Idempotency-Key": `${key}-${step}-${toSlug(values.siteName)}-${toSlug(values.name)}` });
      // A new place that goes by the name of a known one is that one.
      const slug = toSlug(values.siteName);
      const known = values.site === NEW ? sites.data?.results.find((each) => each.slug === slug)?.id : values.site;
      const site = known ?? (await sitesCreate({ body: { name: values.siteName.trim(), slug }, headers: headers("site"), throwOnError: true })).data.id;
      const driver = directOf(values.way);
      const cluster = await clustersCreate({
        body: {
          site, name: values.name.trim(), slug: toSlug(values.name), ...WAYS[values.way],
          ...(driver ? { connection: toConnection(values.connection), settings: settingsOf(values.connection, driver) } : {}),
        },
        headers: headers(`cluster-${values.way}-${site}`),
        throwOnError: true,
      });
      if (driver) return { cluster: cluster.data.id, kind: WAYS[values.way].kind };
      const token = await joinTokensCreate({ body: { cluster: cluster.data.id }, headers: headers(`join-${values.way}`), throwOnError: true });
      return { cluster: cluster.data.id, kind: WAYS[values.way].kind, command: token.data.command };
    },
    onSuccess: async (joined) => {
      await client.invalidateQueries();
      onJoined(joined);
    },
    onError: (error) => {
      const { slug, connection: _whole, ...others } = fieldErrors(error);
      form.setErrors({ ...others, name: others.name ?? slug, ...errorsUnder("connection", connectionErrors(error, "connection")) });
    },
  });
  return (
    <form onSubmit={form.onSubmit((values) => add.mutate(values))}>
      <Stack>
        {add.error && <ProblemAlert error={add.error} />}
        <Radio.Group
          label={t`What joins`}
          {...form.getInputProps("way")}
          onChange={(chosen) => {
            form.setFieldValue("way", chosen as keyof typeof WAYS);
            const driver = directOf(chosen as keyof typeof WAYS);
            // Each kind of site has its own ways in.
            if (driver && !WAYS_IN[driver].includes(form.values.connection.by)) form.setFieldValue("connection.by", WAYS_IN[driver][0] ?? "kubeconfig");
          }}
        >
          <Stack gap="xs" mt={6}>
            <Radio value="machine" label={t`A machine`} description={t`By a small agent on it that only calls out: nothing has to be opened towards it.`} />
            <Radio value="agent" label={t`A Kubernetes cluster, by its agent`} description={t`A Deployment in the cluster calls out; the hub holds no credential of it.`} />
            <Radio value="direct" label={t`A Kubernetes cluster, directly`} description={t`The hub calls the API server, with a credential that is kept sealed and never shown again.`} />
            <Radio value="kvm" label={t`A KVM host`} description={t`The hub calls libvirt by TLS or SSH: virtual machines with cards passed through, or parts of cards.`} />
            <Radio value="docker" label={t`A Docker host`} description={t`The hub calls the Docker engine by TLS.`} />
            <Radio value="servers" label={t`Bare servers`} description={t`The hub calls their management controllers (Redfish): whole servers are leased, switched and wiped.`} />
          </Stack>
        </Radio.Group>
        <div className="aq-fields">
          <Select
            label={t`Place`}
            allowDeselect={false}
            data={[{ value: NEW, label: t`A new place` }, ...(sites.data?.results.map((site) => ({ value: site.id, label: site.name })) ?? [])]}
            {...form.getInputProps("site")}
          />
          {form.values.site === NEW && <TextInput label={t`Name of the place`} placeholder={t`Shanghai, room 3`} {...form.getInputProps("siteName")} />}
        </div>
        <TextInput label={way === "machine" ? t`Name of the machine` : t`Name of the cluster`} placeholder={way === "machine" ? "gpu-server-1" : "k8s-1"} {...form.getInputProps("name")} />
        {direct && (
          <ConnectionFields
            driver={direct}
            draft={connection}
            field={(name, options) => form.getInputProps(`connection.${name}`, options)}
            onErrors={(errors) => form.setErrors(errorsUnder("connection", errors))}
            isNew
          />
        )}
        <Group justify="space-between">
          <Text size="xs" c="dimmed">{direct && !isFilled(connection) && <Trans>Fill in how the cluster is reached.</Trans>}</Text>
          <Button type="submit" loading={add.isPending} disabled={direct !== null && !isFilled(connection)}>
            {direct ? <Trans>Connect the cluster</Trans> : <Trans>Make the line to run</Trans>}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
