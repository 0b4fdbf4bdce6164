/** What exports and schedules have in common: of which kind, in which format, of whom, and where to. */
import { useLingui } from "@lingui/react/macro";
import { Select } from "@mantine/core";
import type { ExportFormat, ExportKind } from "~/api/__generated__";
import { useSession } from "~/api/session";
import { useTenants } from "../choices";
import { useKinds, useTargets } from "./choices";
import { fittingFormat, formatsOf, targetsFor, tenantOf } from "./exports";

export interface What {
  kind: ExportKind;
  format: ExportFormat;
  /** "": all of them. */
  tenant: string;
  /** "": to be downloaded. */
  target: string;
}

export const FIRST: What = { kind: "focus-1.2", format: "csv", tenant: "", target: "" };

interface Props {
  what: What;
  errors: Record<string, unknown>;
  onChange: (what: What) => void;
}

/** The tenant that is meant, and whether one may leave it open. */
export function useTenant(chosen: string) {
  const isOfPlatform = useSession()?.is_platform ?? false;
  const { choices } = useTenants();
  return { tenant: tenantOf(chosen, choices, isOfPlatform), choices, isOfPlatform };
}

export function WhatFields({ what, errors, onChange }: Props) {
  const { t } = useLingui();
  const { choices: kinds } = useKinds();
  const { targets } = useTargets();
  const { tenant, choices: tenants, isOfPlatform } = useTenant(what.tenant);
  const error = (name: string) => errors[name] as string | undefined;
  return (
    <>
      <div className="aq-fields">
        <Select
          label={t`Kind`}
          allowDeselect={false}
          data={kinds}
          value={what.kind}
          error={error("kind")}
          onChange={(value) => value && onChange({ ...what, kind: value as ExportKind, format: fittingFormat(value as ExportKind, what.format) })}
        />
        <Select label={t`Format`} allowDeselect={false} data={[...formatsOf(what.kind)]} value={what.format} error={error("format")} onChange={(value) => value && onChange({ ...what, format: value as ExportFormat })} />
      </div>
      <div className="aq-fields">
        <Select
          label={t`Tenant`}
          searchable
          clearable={isOfPlatform}
          allowDeselect={isOfPlatform}
          placeholder={isOfPlatform ? t`all tenants` : undefined}
          data={tenants}
          value={tenant || null}
          error={error("tenant")}
          // A target belongs to whom the export is of.
          onChange={(value) => onChange({ ...what, tenant: value ?? "", target: "" })}
        />
        <Select
          label={t`Where to`}
          clearable
          placeholder={t`to be downloaded`}
          data={targetsFor(targets, tenant).map(({ id, slug }) => ({ value: id, label: slug }))}
          value={what.target || null}
          error={error("target")}
          onChange={(value) => onChange({ ...what, target: value ?? "" })}
        />
      </div>
    </>
  );
}
