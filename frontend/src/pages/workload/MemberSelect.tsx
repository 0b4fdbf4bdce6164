import { useLingui } from "@lingui/react/macro";
import { Select } from "@mantine/core";

interface Props {
  members: number;
  value: number;
  onChange: (member: number) => void;
  isDisabled?: boolean;
}

/** Which member of the work; nothing where there is only one. */
export function MemberSelect({ members, value, onChange, isDisabled = false }: Props) {
  const { t } = useLingui();
  if (members < 2) return null;
  return (
    <Select
      size="xs"
      w={130}
      aria-label={t`Member`}
      data={Array.from({ length: members }, (_, at) => ({ value: String(at), label: t`Member ${at}` }))}
      value={String(value)}
      onChange={(chosen) => chosen !== null && onChange(Number(chosen))}
      allowDeselect={false}
      searchable={members > 10}
      limit={50}
      disabled={isDisabled}
    />
  );
}
