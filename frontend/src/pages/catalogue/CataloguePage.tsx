/** What work can start from: images and templates, a tenant's own and those for everybody. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Badge, Button, Code, Group, Stack, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { IconDisc, IconPlus, IconTemplate } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Image, Template } from "~/api/__generated__";
import { imagesListInfiniteOptions, templatesListInfiniteOptions, templatesPartialUpdateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { formatMemory } from "~/lib/format";
import { pb } from "~/lib/path-builder";
import { FORMS, WORKLOAD_KINDS } from "~/lib/words";
import { LinkButton } from "~/parts/AppLink";
import { useProblemText } from "~/parts/ProblemAlert";
import { byCursor, type Column, QueryTable } from "~/parts/QueryTable";
import { useWord } from "~/parts/words";
import { Dialog } from "~/ui/Dialog";
import { Empty, PageHead, Panel } from "~/ui/Panel";
import { AddImage } from "./AddImage";
import { ImagePlaces } from "./ImagePlaces";
import { TemplateForm } from "./TemplateForm";

const images = { ...imagesListInfiniteOptions({ query: { limit: 100, is_archived: false } }), ...byCursor };
const templates = { ...templatesListInfiniteOptions({ query: { limit: 100, is_archived: false } }), ...byCursor };

export function CataloguePage() {
  const { t } = useLingui();
  const can = useCan();
  const [isAdding, { open, close }] = useDisclosure(false);
  const add = can("catalogue.edit") && <Button leftSection={<IconPlus size={16} />} onClick={open}><Trans>Add an image</Trans></Button>;
  return (
    <Stack>
      <PageHead title={t`Catalogue`} aside={add}>
        <Text size="sm" c="dimmed"><Trans>What work starts from: images, and templates of whole requests.</Trans></Text>
      </PageHead>
      <Images />
      <Templates />
      {isAdding && <AddImage onClose={close} />}
    </Stack>
  );
}

function Whose({ entry }: { entry: Image | Template }) {
  return entry.tenant_name === null ? <Badge variant="default" tt="none"><Trans>for everybody</Trans></Badge> : <>{entry.tenant_name}</>;
}

function Images() {
  const { t, i18n } = useLingui();
  const word = useWord();
  const query = useInfiniteQuery(images);
  const [shown, show] = useState<Image>();
  const columns: Column<Image>[] = [
    { key: "name", header: t`Name`, cell: (row) => <><Text size="sm" fw={600}>{row.name}</Text>{row.description && <Text size="xs" c="dimmed" lineClamp={2}>{row.description}</Text>}</> },
    { key: "form", header: t`Starts as`, cell: (row) => <>{word(FORMS, row.form)}{row.format && <Text size="xs" c="dimmed">{row.format}</Text>}</> },
    {
      key: "reference",
      header: t`Reference`,
      cell: (row) => (
        <Stack gap={2} maw={360}>
          <Code className="aq-wrap">{row.reference}</Code>
          {row.sha256 && <Text size="xs" c="dimmed" title={row.sha256}>sha256 {row.sha256.slice(0, 12)}…</Text>}
        </Stack>
      ),
    },
    { key: "size", header: t`Least disk`, cell: (row) => (row.min_disk_mib ? formatMemory(row.min_disk_mib, i18n.locale) : "–") },
    { key: "tenant", header: t`Whose`, cell: (row) => <Whose entry={row} /> },
    { key: "places", header: t`Where it runs`, cell: (row) => <Button size="compact-xs" variant="default" onClick={() => show(row)}><Trans>Show</Trans></Button> },
  ];
  return (
    <Panel title={<Trans>Images</Trans>}>
      <QueryTable
        query={query}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Images`}
        empty={<Empty icon={<IconDisc size={32} aria-hidden />} title={<Trans>No images yet</Trans>}><Trans>Add a container image by its reference, or a disk by its address and checksum.</Trans></Empty>}
      />
      {shown && <ImagePlaces image={shown} onClose={() => show(undefined)} />}
    </Panel>
  );
}

function Templates() {
  const { t } = useLingui();
  const word = useWord();
  const can = useCan();
  const query = useInfiniteQuery(templates);
  const [edited, edit] = useState<Template>();
  const [isMaking, { open, close }] = useDisclosure(false);
  const columns: Column<Template>[] = [
    { key: "name", header: t`Name`, cell: (row) => <><Text size="sm" fw={600}>{row.name}</Text>{row.description && <Text size="xs" c="dimmed" lineClamp={2}>{row.description}</Text>}</> },
    {
      key: "says",
      header: t`Says`,
      cell: (row) => (
        <Group gap={4} maw={420}>
          {Object.entries(row.work).map(([field, value]) => (
            <Badge key={field} size="sm" variant="default" tt="none">{field === "kind" ? word(WORKLOAD_KINDS, String(value)) : `${field} ${typeof value === "object" ? "…" : String(value)}`}</Badge>
          ))}
        </Group>
      ),
    },
    { key: "tenant", header: t`Whose`, cell: (row) => <Whose entry={row} /> },
    { key: "use", header: <span className="aq-hidden">{t`Actions`}</span>, cell: (row) => <Ways template={row} onEdit={edit} /> },
  ];
  return (
    <Panel title={<Trans>Templates</Trans>} aside={can("catalogue.edit") && <Button variant="default" size="xs" leftSection={<IconPlus size={14} />} onClick={open}><Trans>Make a template</Trans></Button>}>
      <QueryTable
        query={query}
        columns={columns}
        rowKey={(row) => row.id}
        label={t`Templates`}
        empty={<Empty icon={<IconTemplate size={32} aria-hidden />} title={<Trans>No templates yet</Trans>}><Trans>Make one here, or save a request as one where new work is described.</Trans></Empty>}
      />
      {isMaking && <TemplateForm onClose={close} />}
      {edited && <TemplateForm template={edited} onClose={() => edit(undefined)} />}
    </Panel>
  );
}

/** What is put away is offered no more; work that was started from it goes on. */
function Ways({ template, onEdit }: { template: Template; onEdit: (template: Template) => void }) {
  const client = useQueryClient();
  const problemText = useProblemText();
  const [isAsking, { open, close }] = useDisclosure(false);
  const archive = useMutation({
    ...templatesPartialUpdateMutation(),
    onSuccess: () => client.invalidateQueries(),
    onError: (error) => {
      const { title, detail } = problemText(error);
      notifications.show({ color: "red", title, message: detail });
    },
    onSettled: close,
  });
  return (
    <Group gap={6} wrap="nowrap" justify="flex-end">
      <LinkButton size="compact-xs" variant="default" path={pb.workloadNew({ template: template.id })}><Trans>Start from it</Trans></LinkButton>
      {template.can_edit && (
        <>
          <Button size="compact-xs" variant="default" onClick={() => onEdit(template)}><Trans>Change</Trans></Button>
          <Button size="compact-xs" variant="default" onClick={open}><Trans>Delete</Trans></Button>
          <Dialog isOpen={isAsking} onClose={close} title={<Trans>Delete {template.name}</Trans>}>
            <Stack>
              <Text size="sm"><Trans>It is offered no more. Work that was started from it goes on.</Trans></Text>
              <Group justify="flex-end">
                <Button variant="default" onClick={close}><Trans>Leave it as it is</Trans></Button>
                <Button color="red.8" loading={archive.isPending} data-autofocus onClick={() => archive.mutate({ path: { id: template.id }, body: { is_archived: true }, headers: { "If-Match": `"${template.version}"` } })}><Trans>Delete</Trans></Button>
              </Group>
            </Stack>
          </Dialog>
        </>
      )}
    </Group>
  );
}
