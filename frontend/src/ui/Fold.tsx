/** A section that can be closed. What is fetched for it may show itself while it comes. */
import { Button, Skeleton } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { type ReactNode, Suspense, useState } from "react";

interface Props {
  label: ReactNode;
  /** An error must not stay hidden in a closed section. */
  hasError?: boolean;
  startsOpen?: boolean;
  children: ReactNode;
}

export function Fold({ label, hasError = false, startsOpen = false, children }: Props) {
  const [wants, setWants] = useState(startsOpen);
  const isOpen = wants || hasError;
  return (
    <div>
      <Button
        variant="subtle"
        size="compact-sm"
        className="aq-fold"
        aria-expanded={isOpen}
        leftSection={isOpen ? <IconChevronDown size={16} /> : <IconChevronRight size={16} />}
        onClick={() => setWants(!isOpen)}
      >
        {label}
      </Button>
      {isOpen && <div className="aq-gap-above"><Suspense fallback={<Skeleton height={200} />}>{children}</Suspense></div>}
    </div>
  );
}
