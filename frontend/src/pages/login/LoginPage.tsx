import { Trans, useLingui } from "@lingui/react/macro";
import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { sessionPostMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import { ProblemAlert } from "~/parts/ProblemAlert";
import { useEnter } from "./enter";
import { LoginFrame } from "./frame";

export function LoginPage() {
  const { t } = useLingui();
  const { next } = useSearch({ strict: false });
  const enter = useEnter();
  const form = useForm({
    initialValues: { username: "", password: "" },
    validate: {
      username: (value) => (value ? null : t`Enter your name`),
      password: (value) => (value ? null : t`Enter your password`),
    },
  });
  const login = useMutation({ ...sessionPostMutation(), onSuccess: (session) => enter(session, next) });
  return (
    <LoginFrame>
      <form onSubmit={form.onSubmit((body) => login.mutate({ body }))}>
        <Stack>
          {login.error && <ProblemAlert error={login.error} />}
          <TextInput label={t`Name`} autoComplete="username" autoFocus {...form.getInputProps("username")} />
          <PasswordInput label={t`Password`} autoComplete="current-password" {...form.getInputProps("password")} />
          <Button type="submit" loading={login.isPending}><Trans>Sign in</Trans></Button>
        </Stack>
      </form>
    </LoginFrame>
  );
}
