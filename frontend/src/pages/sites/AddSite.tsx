/** Three steps behind one button: the place, its cluster, and the line that lets its agent in. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Select, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { clustersCreate, joinTokensCreate, sitesCreate } from "~/api/__generated__";
import { clustersRetrieveOptions, sitesListOptions } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { freshKey } from "~/lib/key";
import { pb } from "~/lib/path-builder";
import { toSlug } from "~/lib/slug";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { StateCell } from "~/parts/words";
import { Dialog } from "~/ui/Dialog";
import { Copyable } from "~/ui/Copyable";

const NEW = "new";

interface Joined {
  cluster: string;
  command: string;
}

export function AddSite({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const [joined, setJoined] = useState<Joined>();
  const close = () => {
    onClose();
    setJoined(undefined);
  };
  return (
    <Dialog isOpen={isOpen} onClose={close} size="lg" isHeld={joined !== undefined} title={<Trans>Add a site</Trans>}>
      {joined ? <Command joined={joined} onDone={close} /> : <Form onJoined={setJoined} />}
    </Dialog>
  );
}

function Form({ onJoined }: { onJoined: (joined: Joined) => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const sites = useQuery(sitesListOptions({ query: { limit: 200 } }));
  const [key] = useState(freshKey);
  const form = useForm({
    initialValues: { site: NEW, siteName: "", name: "" },
    validate: {
      siteName: (value, { site }) => (site !== NEW || value.trim() ? null : t`Give the place a name`),
      name: (value) => (value.trim() ? null : t`Give the machine a name`),
    },
  });
  const add = useMutation({
    mutationFn: async (values: typeof form.values): Promise<Joined> => {
      // Each step carries a key, so that pressing again after a failure goes on where it stopped.
      const headers = (step: string) => ({ "Idempotency-Key": `${key}-${step}-${toSlug(values.siteName)}-${toSlug(values.name)}` });
      // A new place that goes by the name of a known one is that one.
      const slug = toSlug(values.siteName);
      const known = values.site === NEW ? sites.data?.results.find((each) => each.slug === slug)?.id : values.site;
      const site = known ?? (await sitesCreate({ body: { name: values.siteName.trim(), slug }, headers: headers("site"), throwOnError: true })).data.id;
      const cluster = await clustersCreate({
        body: { site, name: values.name.trim(), slug: toSlug(values.name), kind: "baremetal", driver: "agent" },
        headers: headers(`cluster-${site}`),
        throwOnError: true,
      });
      const token = await joinTokensCreate({ body: { cluster: cluster.data.id }, headers: headers("join"), throwOnError: true });
      return { cluster: cluster.data.id, command: token.data.command };
    },
    onSuccess: async (joined) => {
      await client.invalidateQueries();
      onJoined(joined);
    },
    onError: (error) => {
      const { slug, ...others } = fieldErrors(error);
      form.setErrors({ ...others, name: others.name ?? slug });
    },
  });
  return (
    <form onSubmit={form.onSubmit((values) => add.mutate(values))}>
      <Stack>
        <Text size="sm"><Trans>A machine joins by a small agent that only calls out: nothing has to be opened towards it.</Trans></Text>
        {add.error && <ProblemAlert error={add.error} />}
        <Select
          label={t`Place`}
          allowDeselect={false}
          data={[{ value: NEW, label: t`A new place` }, ...(sites.data?.results.map((site) => ({ value: site.id, label: site.name })) ?? [])]}
          {...form.getInputProps("site")}
        />
        {form.values.site === NEW && <TextInput label={t`Name of the place`} placeholder={t`Shanghai, room 3`} {...form.getInputProps("siteName")} />}
        <TextInput label={t`Name of the machine`} placeholder="gpu-server-1" {...form.getInputProps("name")} />
        <Group justify="flex-end"><Button type="submit" loading={add.isPending}><Trans>Make the line to run</Trans></Button></Group>
      </Stack>
    </form>
  );
}

/** The secret is shown this once; the state below turns as soon as the agent calls. */
function Command({ joined, onDone }: { joined: Joined; onDone: () => void }) {
  const { t } = useLingui();
  const cluster = useQuery({ ...clustersRetrieveOptions({ path: { id: joined.cluster } }), refetchInterval: 3_000 });
  return (
    <Stack>
      <Text size="sm"><Trans>Run this on the machine. The token in it works once, for 24 hours, and is not shown again.</Trans></Text>
      <Copyable label={t`the command`} value={joined.command} />
      {cluster.data && <StateCell noun="cluster" of={cluster.data} />}
      <Group justify="space-between">
        <AppLink path={pb.cluster(joined.cluster)}><Trans>Open its page</Trans></AppLink>
        <Button variant="default" onClick={onDone}><Trans>Done</Trans></Button>
      </Group>
    </Stack>
  );
}
