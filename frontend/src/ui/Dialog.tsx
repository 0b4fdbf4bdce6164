import { useLingui } from "@lingui/react/macro";
import { Group, Modal } from "@mantine/core";
import type { ReactNode } from "react";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  title: ReactNode;
  size?: string;
  /** A secret that is shown once must not vanish by a stray click. */
  isHeld?: boolean;
  children: ReactNode;
}

export function Dialog({ isOpen, onClose, title, size = "md", isHeld = false, children }: Props) {
  const { t } = useLingui();
  return (
    <Modal.Root opened={isOpen} onClose={onClose} size={size} centered closeOnClickOutside={!isHeld}>
      <Modal.Overlay />
      <Modal.Content>
        <Group justify="space-between" wrap="nowrap" p="md" pb={0}>
          <Modal.Title fw={600}>{title}</Modal.Title>
          <Modal.CloseButton aria-label={t`Close`} />
        </Group>
        <Modal.Body pt="md">{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}
