/** A form in a dialog: what went wrong on top, the fields, and one button that does it. */
import { Button, Group, Stack } from "@mantine/core";
import type { FormEvent, ReactNode } from "react";
import { Dialog } from "~/ui/Dialog";
import { ProblemAlert } from "./ProblemAlert";

interface Props {
  title: ReactNode;
  /** On the button: what it does. */
  verb: ReactNode;
  onSubmit: (event?: FormEvent<HTMLFormElement>) => void;
  isPending: boolean;
  error: unknown;
  onClose: () => void;
  size?: string;
  children: ReactNode;
}

export function FormDialog({ title, verb, onSubmit, isPending, error, onClose, size, children }: Props) {
  return (
    <Dialog isOpen onClose={onClose} title={title} size={size}>
      <form onSubmit={onSubmit} noValidate>
        <Stack>
          {Boolean(error) && <ProblemAlert error={error} />}
          {children}
          <Group justify="flex-end"><Button type="submit" loading={isPending}>{verb}</Button></Group>
        </Stack>
      </form>
    </Dialog>
  );
}
