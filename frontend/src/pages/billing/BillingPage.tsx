import { useLingui } from "@lingui/react/macro";
import { Skeleton, Stack } from "@mantine/core";
import { Link, useSearch } from "@tanstack/react-router";
import { Suspense } from "react";
import { useCan, useSession } from "~/api/session";
import { pb } from "~/lib/path-builder";
import { splitPath } from "~/parts/AppLink";
import { PageHead, Panel } from "~/ui/Panel";
import { TABS } from "./tabs";

export function BillingPage() {
  const { t, i18n } = useLingui();
  const { tab } = useSearch({ strict: false });
  const can = useCan();
  const isOfPlatform = useSession()?.is_platform ?? false;
  const open = TABS.filter((each) => can(each.permission) && (isOfPlatform || !each.isOfPlatform));
  const current = open.find((each) => each.key === tab) ?? open[0];
  return (
    <Stack>
      <PageHead title={t`Billing`} />
      <Panel>
        <nav className="aq-tabs" aria-label={t`Billing`}>
          {open.map(({ key, label }) => (
            <Link key={key} {...splitPath(pb.billing({ tab: key }))} className="aq-tab" aria-current={key === current?.key ? "page" : undefined}>{i18n._(label)}</Link>
          ))}
        </nav>
        {current && <Suspense fallback={<Skeleton height={200} />}><current.Content key={current.key} /></Suspense>}
      </Panel>
    </Stack>
  );
}
