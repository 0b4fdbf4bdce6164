import { Trans } from "@lingui/react/macro";
import { Container } from "@mantine/core";
import { IconMapQuestion } from "@tabler/icons-react";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { Empty } from "~/ui/Panel";

export function NotFound() {
  return (
    <Empty icon={<IconMapQuestion size={32} aria-hidden />} title={<Trans>There is no such page</Trans>}>
      <AppLink path={pb.overview()}><Trans>Go to the overview</Trans></AppLink>
    </Empty>
  );
}

export function PageFailed({ error, reset }: { error: unknown; reset: () => void }) {
  return (
    <Container size="sm" py="xl">
      <ProblemAlert
        error={error}
        retry={() => {
          reset();
          location.reload();
        }}
      />
    </Container>
  );
}
