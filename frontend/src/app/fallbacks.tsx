import { Trans, useLingui } from "@lingui/react/macro";
import { Container } from "@mantine/core";
import { pb } from "~/lib/path-builder";
import { AppLink } from "~/parts/AppLink";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { PageHead } from "~/ui/Panel";

export function NotFound() {
  const { t } = useLingui();
  return (
    <Container component="main" size="sm" py="xl">
      <PageHead title={t`There is no such page`} />
      <AppLink path={pb.overview()}><Trans>Go to the overview</Trans></AppLink>
    </Container>
  );
}

export function PageFailed({ error, reset }: { error: unknown; reset: () => void }) {
  return (
    <Container component="main" size="sm" py="xl">
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
