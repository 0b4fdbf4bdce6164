import { Trans, useLingui } from "@lingui/react/macro";
import { ActionIcon, Menu, Text, Tooltip, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { IconLanguage, IconLogout, IconMoon, IconSun, IconUser } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { sessionDeleteMutation, sessionLanguagePostMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { sessionQuery, useSession } from "~/api/session";
import { ROLES } from "~/lib/words";
import { pb } from "~/lib/path-builder";
import { stopLive } from "~/live/live";
import { splitPath } from "~/parts/AppLink";
import { activateLocale, LOCALES, type Locale, rememberLocale } from "./i18n";

/** `isKept`: with the account too, for mails and for other browsers. */
export function LanguageSwitch({ isKept = false }: { isKept?: boolean }) {
  const { t, i18n } = useLingui();
  const save = useMutation(sessionLanguagePostMutation());
  const choose = async (locale: Locale) => {
    await activateLocale(locale);
    rememberLocale(locale);
    if (isKept) save.mutate({ body: { language: locale } });
  };
  return (
    <Menu position="bottom-end" withInitialFocusPlaceholder={false}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t`Language`}><IconLanguage size={20} /></ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {(Object.entries(LOCALES) as [Locale, string][]).map(([locale, name]) => (
          <Menu.Item key={locale} lang={locale} aria-current={i18n.locale === locale} fw={i18n.locale === locale ? 700 : 400} onClick={() => void choose(locale)}>
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

export function ColourSwitch() {
  const { t } = useLingui();
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme("light");
  const label = scheme === "dark" ? t`Light colours` : t`Dark colours`;
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" size="lg" aria-label={label} onClick={() => setColorScheme(scheme === "dark" ? "light" : "dark")}>
        {scheme === "dark" ? <IconSun size={20} /> : <IconMoon size={20} />}
      </ActionIcon>
    </Tooltip>
  );
}

export function UserMenu() {
  const { t, i18n } = useLingui();
  const session = useSession();
  const client = useQueryClient();
  const navigate = useNavigate();
  const leave = useMutation({
    ...sessionDeleteMutation(),
    onSettled: async () => {
      stopLive();
      await navigate(splitPath(pb.login()));
      client.removeQueries({ queryKey: sessionQuery.queryKey });
      client.clear();
    },
  });
  if (!session) return null;
  const { memberships } = session;
  return (
    <Menu position="bottom-end" width={260} withInitialFocusPlaceholder={false}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t`Account of ${session.username}`}><IconUser size={20} /></ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          <Text size="sm" fw={600} c="var(--mantine-color-text)">{session.name || session.username}</Text>
          {memberships.map((membership) => {
            return (
              <Text key={`${membership.role} ${membership.tenant_id ?? ""} ${membership.project_id ?? ""}`} size="xs">
                {i18n._(ROLES[membership.role])}
                {membership.tenant_name ? ` · ${membership.tenant_name}` : ""}
              </Text>
            );
          })}
        </Menu.Label>
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => leave.mutate({})}><Trans>Sign out</Trans></Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
