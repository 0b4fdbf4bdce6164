/** Charges for finance: what was asked for and how far it is, what goes by itself, and where to. */
import { useCan } from "~/api/session";
import { Stack } from "@mantine/core";
import { ExportList } from "./ExportList";
import { Schedules } from "./Schedules";
import { Targets } from "./Targets";

export function Exports() {
  const mayChange = useCan()("export.edit");
  return (
    <Stack>
      <ExportList mayChange={mayChange} />
      <Schedules mayChange={mayChange} />
      <Targets mayChange={mayChange} />
    </Stack>
  );
}
