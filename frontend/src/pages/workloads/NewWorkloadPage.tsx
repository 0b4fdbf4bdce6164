import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Checkbox, Group, MultiSelect, NumberInput, Select, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { acceleratorModelsListOptions, estimatesCreateMutation, imagesListOptions, poolsListOptions, projectsListOptions, templatesListOptions, workloadsCreateMutation, workloadsPreviewMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { useCan } from "~/api/session";
import { freshKey } from "~/lib/key";
import { pb } from "~/lib/path-builder";
import { WORKLOAD_KINDS } from "~/lib/words";
import { LinkButton, splitPath } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { useWord } from "~/parts/words";
import { asTemplate, type Work } from "~/pages/catalogue/template-draft";
import { Fold } from "~/ui/Fold";
import { PageHead, Panel } from "~/ui/Panel";
import { Cost } from "./Cost";
import { MachineFields } from "./MachineFields";
import { Preview } from "./Preview";
import { badLine, DEFAULTS, type Draft, draftErrors, fromTemplate, isContainer, isOfMore, isPort, toBody } from "./draft";
import { badLabel, isOfTerms } from "./terms";

const TemplateForm = lazy(() => import("~/pages/catalogue/TemplateForm").then((module) => ({ default: module.TemplateForm })));
const PlacementFields = lazy(() => import("./PlacementFields").then((module) => ({ default: module.PlacementFields })));
const MoreFields = lazy(() => import("./MoreFields").then((module) => ({ default: module.MoreFields })));

export function NewWorkloadPage() {
  const { t } = useLingui();
  const word = useWord();
  const can = useCan();
  const navigate = useNavigate();
  const search = useSearch({ strict: false });
  const [key] = useState(freshKey);
  const projects = useQuery(projectsListOptions({ query: { limit: 200 } }));
  const pools = useQuery(poolsListOptions({ query: { limit: 200 } }));
  const images = useQuery(imagesListOptions({ query: { limit: 200, is_archived: false } }));
  const templates = useQuery(templatesListOptions({ query: { limit: 200, is_archived: false } }));
  const models = useQuery(acceleratorModelsListOptions({ query: { limit: 200 } }));
  const form = useForm<Draft>({
    initialValues: { ...DEFAULTS, project: search.project ?? "", pool: search.pool ?? "" },
    validate: {
      name: (value) => (value.trim() ? null : t`Give it a name`),
      project: (value) => (value ? null : t`Choose a project`),
      pool: (value) => (value ? null : t`Choose a pool`),
      share: (value, { accelerators }) => (value < 1 && accelerators !== 1 ? t`A share is of one accelerator: ask for exactly 1` : null),
      ports: (value) => (value.every(isPort) ? null : t`Ports are numbers from 1 to 65535`),
      env: (value) => {
        const line = badLine(value);
        return line === undefined ? null : t`This is no NAME=value: ${line}`;
      },
      labels: (value) => {
        const line = badLabel(value);
        return line === undefined ? null : t`This is no name=value: ${line}`;
      },
      volumes: { path: (value: string) => (value.trim().startsWith("/") ? null : t`An absolute path, as /data`) },
    },
  });
  const fillIn = (id: string | null) => {
    const template = templates.data?.results.find((one) => one.id === id);
    if (template) form.setValues(fromTemplate(template.work));
  };
  const isKnown = templates.data?.results.some((one) => one.id === search.template);
  // A link to a template fills the form in once the template is there.
  useEffect(() => {
    if (isKnown) fillIn(search.template ?? null);
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- what is typed later must stay
  }, [isKnown]);
  const create = useMutation({
    ...workloadsCreateMutation(),
    onSuccess: (workload) => navigate(splitPath(pb.workload(workload.id))),
    onError: (error) => form.setErrors(draftErrors(error)),
  });
  const preview = useMutation({ ...workloadsPreviewMutation(), onError: (error) => form.setErrors(draftErrors(error)) });
  const estimate = useMutation(estimatesCreateMutation());
  // An answer is about what was asked, not about what has been typed since.
  const [asked, setAsked] = useState("");
  const [kept, keep] = useState<Work>();
  const errors = Object.keys(form.errors);
  const first = (found: { id: string }[] | undefined) => (found?.length === 1 ? found[0]?.id : undefined);
  const draft = { ...form.values, project: form.values.project || first(projects.data?.results) || "", pool: form.values.pool || first(pools.data?.results) || "" };
  const names = [...new Set(models.data?.results.map((model) => model.name))];
  const comesAs = isContainer(draft.kind) ? "container" : draft.kind;
  const offered = images.data?.results.filter((one) => one.form === comesAs) ?? [];
  const image = (
    <div className="aq-fields">
      {offered.length > 0 && (
        <Select label={t`Image of the catalogue`} searchable clearable data={offered.map((one) => ({ value: one.id, label: one.name }))} {...form.getInputProps("catalogueImage")} onChange={(value) => form.setFieldValue("catalogueImage", value ?? "")} value={draft.catalogueImage || null} />
      )}
      {!draft.catalogueImage && (
        <TextInput label={t`Image`} description={isContainer(draft.kind) ? t`where the site runs containers` : t`the name by which sites keep it`} placeholder={isContainer(draft.kind) ? "registry.example.org/team/train:1.4" : "debian-12.qcow2"} {...form.getInputProps("image")} />
      )}
    </div>
  );
  const tryOut = () => {
    form.setValues({ project: draft.project, pool: draft.pool });
    const named = { ...draft, name: draft.name.trim() || t`Try` };
    setAsked(JSON.stringify(toBody(draft)));
    preview.mutate({ body: toBody(named) });
    estimate.mutate({ body: toBody(named) });
  };
  return (
    <Stack maw={760}>
      <PageHead title={t`New workload`} />
      <Panel>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            form.setValues({ project: draft.project, pool: draft.pool });
            form.onSubmit((values) => create.mutate({ body: toBody(values), headers: { "Idempotency-Key": key } }))();
          }}
        >
          <Stack>
            {create.error && <ProblemAlert error={create.error} />}
            {(templates.data?.results.length ?? 0) > 0 && (
              <Select label={t`Template`} description={t`fills in what it says; all of it can be changed`} clearable searchable data={templates.data?.results.map((one) => ({ value: one.id, label: one.name }))} defaultValue={search.template ?? null} onChange={fillIn} />
            )}
            <TextInput label={t`Name`} withAsterisk {...form.getInputProps("name")} />
            <div className="aq-fields">
              <Select label={t`Project`} withAsterisk searchable data={projects.data?.results.map((project) => ({ value: project.id, label: `${project.name} (${project.tenant_name})` })) ?? []} {...form.getInputProps("project")} value={draft.project || null} />
              <Select label={t`Pool`} withAsterisk searchable data={pools.data?.results.map((pool) => ({ value: pool.id, label: pool.name })) ?? []} {...form.getInputProps("pool")} value={draft.pool || null} />
              <Select label={t`Kind`} allowDeselect={false} data={Object.keys(WORKLOAD_KINDS).map((kind) => ({ value: kind, label: word(WORKLOAD_KINDS, kind) }))} {...form.getInputProps("kind")} />
            </div>
            {image}
            {!isContainer(draft.kind) && <MachineFields form={form} />}
            <div className="aq-fields">
              <NumberInput label={t`Accelerators`} description={t`of each member`} min={0} max={1024} allowDecimal={false} {...form.getInputProps("accelerators")} />
              <NumberInput label={t`Share of each`} description={t`1 is the whole card`} min={0.001} max={1} step={0.1} decimalScale={3} {...form.getInputProps("share")} />
              <NumberInput label={t`Members`} description={t`all or nothing`} min={1} max={1000} allowDecimal={false} {...form.getInputProps("replicas")} />
            </div>
            <MultiSelect label={t`Models`} description={t`none chosen: any`} searchable clearable data={names} {...form.getInputProps("model_names")} />
            <div className="aq-fields">
              <NumberInput label={t`CPU cores`} description={t`of each member`} min={0.001} decimalScale={3} {...form.getInputProps("cores")} />
              <NumberInput label={t`Memory, GiB`} description={t`of each member`} min={0.1} decimalScale={2} {...form.getInputProps("memoryGib")} />
            </div>
            <Textarea label={t`Command`} description={t`one argument a line`} autosize minRows={2} className="aq-mono" {...form.getInputProps("command")} />
            <div className="aq-fields">
              <NumberInput label={t`Run time, minutes`} description={t`how long simulated sites run it`} min={0} {...form.getInputProps("runMinutes")} />
              <NumberInput label={t`Time limit, minutes`} description={t`it is stopped after this`} min={1} allowDecimal={false} {...form.getInputProps("limitMinutes")} />
              <NumberInput label={t`Retries`} description={t`after a failure`} min={0} max={100} allowDecimal={false} {...form.getInputProps("max_retries")} />
            </div>
            <Fold label={t`Placement: where, and by when`} hasError={errors.some((field) => isOfTerms(field) || field === "isMovable")}>
              <PlacementFields field={(name) => form.getInputProps(name)} />
              <Checkbox mt="md" label={t`May be moved`} description={t`it is stopped and started again elsewhere to make room; for work that saves its state`} {...form.getInputProps("isMovable", { type: "checkbox" })} />
            </Fold>
            <Fold label={t`More: variables, ports, storage, secrets`} hasError={errors.some(isOfMore)}><MoreFields form={form} /></Fold>
            {preview.error && <ProblemAlert error={preview.error} />}
            {asked === JSON.stringify(toBody(draft)) && (
              <>
                {preview.data && <Preview found={preview.data} />}
                {estimate.data && <Cost found={estimate.data} />}
              </>
            )}
            <Group justify="space-between">
              <Text size="sm" c="dimmed"><Trans>It is placed on the best free site; if it has to wait, it says why.</Trans></Text>
              <Group>
                {can("catalogue.edit") && <Button variant="default" onClick={() => keep(asTemplate(toBody(draft)))}><Trans>Save as a template</Trans></Button>}
                <Button variant="default" loading={preview.isPending} onClick={tryOut}><Trans>Would it run now?</Trans></Button>
                <LinkButton path={pb.workloads()} variant="default"><Trans>Back</Trans></LinkButton>
                <Button type="submit" loading={create.isPending}><Trans>Submit</Trans></Button>
              </Group>
            </Group>
          </Stack>
        </form>
        {kept && <Suspense fallback={null}><TemplateForm work={kept} onClose={() => keep(undefined)} /></Suspense>}
      </Panel>
    </Stack>
  );
}
