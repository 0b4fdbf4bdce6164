import { Trans } from "@lingui/react/macro";
import { tenantsReinstateMutation, tenantsSuspendMutation } from "~/api/__generated__/@tanstack/react-query.gen";
import type { Verb } from "~/parts/Verbs";

export const TENANT_VERBS: Verb[] = [
  {
    name: "suspend",
    permission: "tenant.suspend",
    mutation: tenantsSuspendMutation,
    isDangerous: true,
    confirm: <Trans>Its people are shut out and none of its waiting work is placed. What runs goes on.</Trans>,
  },
  { name: "reinstate", permission: "tenant.suspend", mutation: tenantsReinstateMutation },
];
