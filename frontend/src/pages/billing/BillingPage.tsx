import { useLingui } from "@lingui/react/macro";
import { Stack } from "@mantine/core";
import { Link, useSearch } from "@tanstack/react-router";
import { useCan } from "~/api/session";
import { pb } from "~/lib/path-builder";
import { splitPath } from "~/parts/AppLink";
import { PageHead, Panel } from "~/ui/Panel";
import { Costs } from "./costs/Costs";
import { Invoices } from "./Invoices";
import { Prices } from "./Prices";
import { Usage } from "./Usage";

export function BillingPage() {
  const { t } = useLingui();
  const { tab } = useSearch({ strict: false });
  const can = useCan();
  const tabs = [
    { key: "usage", label: t`Usage`, may: can("usage.view"), content: <Usage /> },
    { key: "costs", label: t`Costs`, may: can("invoice.view"), content: <Costs /> },
    { key: "invoices", label: t`Invoices`, may: can("invoice.view"), content: <Invoices /> },
    { key: "prices", label: t`Prices`, may: can("price.view"), content: <Prices /> },
  ] as const;
  const open = tabs.filter((each) => each.may);
  const current = open.find((each) => each.key === tab) ?? open[0];
  return (
    <Stack>
      <PageHead title={t`Billing`} />
      <Panel>
        <nav className="aq-tabs" aria-label={t`Billing`}>
          {open.map(({ key, label }) => (
            <Link key={key} {...splitPath(pb.billing({ tab: key }))} className="aq-tab" aria-current={key === current?.key ? "page" : undefined}>{label}</Link>
          ))}
        </nav>
        {current?.content}
      </Panel>
    </Stack>
  );
}
