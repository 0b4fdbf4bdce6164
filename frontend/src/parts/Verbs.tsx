/** What one may do with a thing now. The server says what is possible; the rest stays visible and says why not. */
import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Menu, Stack, Text, Tooltip, ActionIcon } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { IconDotsVertical } from "@tabler/icons-react";
import { type UseMutationOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useCan } from "~/api/session";
import { VERBS } from "~/lib/words";
import { Dialog } from "~/ui/Dialog";
import { useProblemText } from "./ProblemAlert";
import { useStateWord, useWord } from "./words";

type Options = { path: { id: string } };

export interface Verb {
  name: string;
  permission: string;
  // The generated mutations differ in what they answer; only their input matters here.
  // oxlint-disable-next-line typescript/no-explicit-any -- see above
  mutation: () => UseMutationOptions<any, any, any>;
  /** Asked before it is done; what follows from it, in one sentence. */
  confirm?: ReactNode;
  isDangerous?: boolean;
}

interface Props {
  noun: string;
  thing: { id: string; name: string; state: string; actions: string[] };
  verbs: Verb[];
}

export function useWhyNot({ noun, thing }: Pick<Props, "noun" | "thing">): (verb: Pick<Verb, "name" | "permission">) => string | undefined {
  const { t } = useLingui();
  const can = useCan();
  const word = useStateWord();
  return (verb) => {
    if (thing.actions.includes(verb.name)) return undefined;
    if (!can(verb.permission)) return t`Your role does not allow this`;
    const state = word(noun, thing.state);
    return t`Not possible while it is: ${state}`;
  };
}

/** Runs verbs, asks first where that is wanted, and tells what went wrong. */
function useRun({ thing }: Props) {
  const client = useQueryClient();
  const problemText = useProblemText();
  const [asked, setAsked] = useState<Verb>();
  const [isOpen, { open, close }] = useDisclosure(false);
  const mutation = useMutation({
    mutationFn: async (verb: Verb) => {
      const options = verb.mutation();
      return options.mutationFn?.({ path: { id: thing.id } } satisfies Options, { client, meta: undefined });
    },
    onSuccess: () => client.invalidateQueries(),
    onError: (error) => {
      const { title, detail } = problemText(error);
      notifications.show({ color: "red", title, message: detail });
    },
    onSettled: close,
  });
  const choose = (verb: Verb) => {
    if (!verb.confirm) return mutation.mutate(verb);
    setAsked(verb);
    open();
  };
  const name = useWord();
  const dialog = (
    <Dialog isOpen={isOpen} onClose={close} title={asked && `${name(VERBS, asked.name)}: ${thing.name}`}>
      <Stack>
        <Text size="sm">{asked?.confirm}</Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={close}><Trans>Leave it as it is</Trans></Button>
          <Button color={asked?.isDangerous ? "red.8" : undefined} loading={mutation.isPending} onClick={() => asked && mutation.mutate(asked)} data-autofocus>
            {asked && name(VERBS, asked.name)}
          </Button>
        </Group>
      </Stack>
    </Dialog>
  );
  return { choose, dialog, running: mutation.isPending ? mutation.variables : undefined };
}

export function VerbButtons(props: Props) {
  const why = useWhyNot(props);
  const word = useWord();
  const { choose, dialog, running } = useRun(props);
  return (
    <>
      {props.verbs.map((verb) => {
        const reason = why(verb);
        return (
          <Tooltip key={verb.name} label={reason} disabled={!reason}>
            <Button
              variant="default"
              loading={running?.name === verb.name}
              // Kept focusable, so that the reason can be read by keyboard too.
              data-disabled={reason ? true : undefined}
              aria-disabled={reason ? true : undefined}
              aria-description={reason}
              onClick={() => !reason && choose(verb)}
            >
              {word(VERBS, verb.name)}
            </Button>
          </Tooltip>
        );
      })}
      {dialog}
    </>
  );
}

export function VerbMenu(props: Props) {
  const { t } = useLingui();
  const why = useWhyNot(props);
  const word = useWord();
  const { choose, dialog } = useRun(props);
  const { name } = props.thing;
  return (
    <>
      <Menu position="bottom-end" withInitialFocusPlaceholder={false}>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={t`Actions for ${name}`}><IconDotsVertical size={18} /></ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {props.verbs.map((verb) => {
            const reason = why(verb);
            return (
              <Menu.Item
                key={verb.name}
                color={verb.isDangerous && !reason ? "var(--mantine-color-error)" : undefined}
                className={reason ? "aq-off" : undefined}
                aria-disabled={reason ? true : undefined}
                closeMenuOnClick={!reason}
                onClick={() => !reason && choose(verb)}
              >
                {word(VERBS, verb.name)}
                {reason && <Text size="xs" c="dimmed">{reason}</Text>}
              </Menu.Item>
            );
          })}
        </Menu.Dropdown>
      </Menu>
      {dialog}
    </>
  );
}
