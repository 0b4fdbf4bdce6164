/** How near the nearest node came, in the reader's words, from what the server says for programs. */
import { useLingui } from "@lingui/react/macro";
import type { NearestMiss } from "~/api/__generated__";
import { formatMemory, formatMilli } from "~/lib/format";
import { FORMS, MODES } from "~/lib/words";
import { useWord } from "./words";

/** `where`: the place with the most room for members, or what is there instead of what is asked for by name. */
type Amounts = Pick<NearestMiss, "filter" | "wanted" | "has" | "unit"> & Partial<Pick<NearestMiss, "where">>;

/** `isFinal`: it has that much when it is empty. */
export function useMissText(): (miss: Amounts, isFinal: boolean) => string {
  const { t, i18n } = useLingui();
  const word = useWord();
  return (miss, isFinal) => {
    const [has, wanted] = amounts(miss, i18n.locale);
    const instead = miss.where || t`none`;
    if (miss.unit === "members") return miss.where ? t`room for ${has} of ${wanted} members (${instead})` : t`room for ${has} of ${wanted} members`;
    switch (`${miss.filter} ${miss.unit}`) {
      case "accelerators devices":
        return isFinal ? t`it has ${has} of the ${wanted} accelerators wanted, even when empty` : t`${has} of the ${wanted} accelerators wanted are free`;
      case "accelerators milli":
        return isFinal ? t`it has ${has} of an accelerator where ${wanted} is wanted, even when empty` : t`${has} of an accelerator is free where ${wanted} is wanted`;
      case "device-memory mib":
        return isFinal ? t`its accelerators have ${has} of the ${wanted} of memory wanted` : t`its accelerators have ${has} of the ${wanted} of memory wanted free`;
      case "cpu cpu-milli":
        return isFinal ? t`it has ${has} of the ${wanted} CPU cores wanted, even when empty` : t`${has} of the ${wanted} CPU cores wanted are free`;
      case "memory mib":
        return isFinal ? t`it has ${has} of the ${wanted} of memory wanted, even when empty` : t`${has} of the ${wanted} of memory wanted are free`;
      case "label labels":
        return t`it has ${has} of the ${wanted} labels asked for`;
      case "region region":
        return t`its region: ${instead}`;
      case "form form": {
        const forms = instead.split(", ").map((form) => word(FORMS, form)).join(", ");
        return t`it runs: ${forms}`;
      }
      case "whole-server devices":
        return t`it is leased whole, with ${has} accelerators`;
      case "network-class network-class":
        return t`its class of network: ${instead}`;
      case "mode mode": {
        const modes = instead.split(", ").map((mode) => word(MODES, mode)).join(", ");
        return t`its cards are handed out: ${modes}`;
      }
      default:
        return t`it has ${has} where ${wanted} is wanted`;
    }
  };
}

function amounts({ has, wanted, unit }: Amounts, locale: string): [string, string] {
  if (unit === "mib") return [formatMemory(has, locale), formatMemory(wanted, locale)];
  if (unit === "milli" || unit === "cpu-milli") return [formatMilli(has, locale), formatMilli(wanted, locale)];
  return [String(has), String(wanted)];
}
