/** The frame of every page: the nouns on the left, who one is and how live the page is on top. */
import { Trans, useLingui } from "@lingui/react/macro";
import { AppShell, Burger, Group, NavLink, ScrollArea } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconBuildingCommunity,
  IconCpu, IconDisc,
  IconKey,
  IconLayoutDashboard,
  IconListDetails,
  IconMapPin,
  IconReceipt,
  IconStack2,
} from "@tabler/icons-react";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { useCan } from "~/api/session";
import iconUrl from "~/icon.svg";
import { pb } from "~/lib/path-builder";
import { useConnection } from "~/live/live";
import { Notice } from "~/ui/Notice";
import { ColourSwitch, LanguageSwitch, UserMenu } from "./switches";

export function Shell() {
  const { t } = useLingui();
  const [isOpen, { toggle, close }] = useDisclosure(false);
  const can = useCan();
  const { pathname } = useLocation();
  const connection = useConnection();
  const entries = [
    { label: t`Overview`, path: pb.overview(), icon: IconLayoutDashboard, may: can("overview.view") },
    { label: t`Sites`, path: pb.sites(), icon: IconMapPin, may: can("cluster.view"), also: "/clusters" },
    { label: t`Workloads`, path: pb.workloads(), icon: IconListDetails, may: can("workload.view") },
    { label: t`Pools`, path: pb.pools(), icon: IconStack2, may: can("catalogue.view") },
    { label: t`Catalogue`, path: pb.catalogue(), icon: IconDisc, may: can("catalogue.view") },
    { label: t`Allocations`, path: pb.allocations(), icon: IconCpu, may: can("allocation.view") },
    { label: t`Tenants`, path: pb.tenants(), icon: IconBuildingCommunity, may: can("tenant.view") },
    { label: t`Billing`, path: pb.billing(), icon: IconReceipt, may: can("price.view") },
    { label: t`API tokens`, path: pb.tokens(), icon: IconKey, may: can("token.view") },
  ].filter((entry) => entry.may);
  const isCurrent = (entry: { path: string; also?: string }) =>
    entry.path === "/" ? pathname === "/" : pathname.startsWith(entry.path) || (!!entry.also && pathname.startsWith(entry.also));
  return (
    <AppShell header={{ height: 56 }} navbar={{ width: 200, breakpoint: "sm", collapsed: { mobile: !isOpen } }} padding="md">
      <a href="#main" className="aq-skip"><Trans>Skip to the content</Trans></a>
      <AppShell.Header className="aq-nav">
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={isOpen} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t`Menu`} aria-expanded={isOpen} />
            <Link to="/" className="aq-brand">
              <img src={iconUrl} alt="" />
              Aquifer
            </Link>
          </Group>
          <Group gap={6} wrap="nowrap">
            <LanguageSwitch isKept />
            <ColourSwitch />
            <UserMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar className="aq-nav" p="xs" aria-label={t`Main menu`}>
        <ScrollArea>
          {entries.map((entry) => (
            <NavLink
              key={entry.path}
              label={entry.label}
              leftSection={<entry.icon size={18} stroke={1.6} aria-hidden />}
              active={isCurrent(entry)}
              aria-current={isCurrent(entry) ? "page" : undefined}
              onClick={close}
              renderRoot={(props) => <Link to={entry.path} {...props} />}
            />
          ))}
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        {connection === "down" && (
          <div className="aq-gap-below">
            <Notice tone="warning" role="status"><Trans>The live connection is down. This page reads again every 10 seconds.</Trans></Notice>
          </div>
        )}
        <Outlet />
      </AppShell.Main>
    </AppShell>
  );
}
