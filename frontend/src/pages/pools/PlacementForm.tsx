/** How a pool places its work, to change: by a policy with a name, or by several aims with a weight for each. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Radio, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { Pool } from "~/api/__generated__";
import { poolsPartialUpdateMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { fieldErrors } from "~/api/problem";
import { isCombination, parseWeights, printWeights, type Weights as WeightOf } from "~/lib/combination";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Panel } from "~/ui/Panel";
import { useOrders, usePolicies } from "./choices";
import { Weights } from "./Weights";

interface Values {
  name: string;
  queue_order: Pool["queue_order"];
  policy: string;
  /** Of several aims; kept while another policy is looked at. */
  weights: WeightOf;
}

const SEVERAL = "several";
const FIRST_WEIGHTS: Values["weights"] = { utilisation: 1 };

export function PlacementForm({ pool }: { pool: Pool }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const policies = usePolicies(pool.policy);
  const orders = useOrders(pool.queue_order);
  const start = isCombination(pool.policy) ? { policy: SEVERAL, weights: parseWeights(pool.policy) } : { policy: pool.policy, weights: FIRST_WEIGHTS };
  const form = useForm<Values>({
    initialValues: { name: pool.name, queue_order: pool.queue_order, ...start },
    validate: {
      name: (value) => (value.trim() ? null : t`Give it a name`),
      weights: (value, { policy }) => (policy !== SEVERAL ? null : printWeights(value) === "" ? t`Give one of them a weight` : value.waiting && value.fairness ? t`Of waiting and fairness choose one: both decide on the site` : null),
    },
  });
  const save = useMutation({
    ...poolsPartialUpdateMutation(),
    onSuccess: async () => {
      await client.invalidateQueries();
      notifications.show({ message: t`Saved. It counts for what is placed from now on.` });
    },
    onError: (error) => {
      const { policy, ...others } = fieldErrors(error);
      form.setErrors({ ...others, ...(form.values.policy === SEVERAL ? { weights: policy } : { policy }) });
    },
  });
  const submit = form.onSubmit(({ name, queue_order, policy, weights }) => {
    const chosen = policy === SEVERAL ? printWeights(weights) : policy;
    save.mutate({ path: { id: pool.id }, body: { name: name.trim(), queue_order, policy: chosen }, headers: { "If-Match": `"${pool.version}"` } });
  });
  return (
    <Panel title={<Trans>How work is placed</Trans>}>
      <form onSubmit={submit}>
        <Stack>
          {save.error && <ProblemAlert error={save.error} retry={() => void client.invalidateQueries().then(() => save.reset())} />}
          <TextInput label={t`Name`} maw={420} {...form.getInputProps("name")} />
          <Radio.Group label={t`Which of the nodes that fit is taken`} {...form.getInputProps("policy")}>
            <div className="aq-choices">
              {policies.map(({ name, title, description }) => <Radio key={name} value={name} label={title} description={description} />)}
              <Radio value={SEVERAL} label={t`Several aims at once`} description={t`Weigh utilisation, waiting, fairness, money and energy yourself.`} />
            </div>
          </Radio.Group>
          {form.values.policy === SEVERAL && <Weights value={form.values.weights} onChange={(weights) => form.setFieldValue("weights", weights)} error={form.errors.weights} />}
          <Radio.Group label={t`Order of the queue`} {...form.getInputProps("queue_order")}>
            <div className="aq-choices">
              {orders.map(({ name, title, description }) => <Radio key={name} value={name} label={title} description={description} />)}
            </div>
          </Radio.Group>
          <Group justify="space-between">
            <Text size="sm" c="dimmed"><Trans>What runs stays where it is.</Trans></Text>
            <Group>
              {form.isDirty() && <Button variant="default" onClick={() => form.reset()}><Trans>Take back</Trans></Button>}
              <Button type="submit" loading={save.isPending} disabled={!form.isDirty()}><Trans>Save</Trans></Button>
            </Group>
          </Group>
        </Stack>
      </form>
    </Panel>
  );
}
