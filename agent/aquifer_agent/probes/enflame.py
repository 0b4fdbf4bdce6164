"""Enflame by `efsmi -q`: `Name : value`, in sections of one device each."""

import re
from collections.abc import Iterator

from aquifer_agent.probes.texts import numa_of, number, percent, sections, whole
from aquifer_agent.probes.tools import Tool, ToolProbe
from aquifer_agent.probes.types import HEALTHY, UNHEALTHY, Device, Figure, Pair

VENDOR = "enflame"
EFSMI = Tool("efsmi", "/usr/bin/efsmi", "/opt/tops/bin/efsmi")
_HEAD = re.compile(r"^\s*DEV ID (\d+)\s*$")


def read() -> Iterator[Pair]:
    return iter(parse(EFSMI.run("-q")))


probe = ToolProbe([EFSMI], read)


def parse(text: str) -> list[Pair]:
    return [_card(head[1], values) for head, values in sections(text, _HEAD)]


def _card(index: str, values: dict[str, str]) -> Pair:
    address = None
    if all(values.get(name) for name in ("Domain", "Bus", "Dev", "Func")):
        domain, bus, dev, func = (values[name] for name in ("Domain", "Bus", "Dev", "Func"))
        address = f"{domain[-4:].zfill(4)}:{bus.zfill(2)}:{dev.zfill(2)}.{func}".lower()
    own = values.get("Dev UUID") or values.get("Dev SN") or ""
    uuid = own or address or index
    # A row that failed in two bits, or a card that its maker wants back.
    has_failed = values.get("Health") == "False" or values.get("Flags") == "True"
    has_failed |= (whole(values.get("Total DBE", values.get("DBE"))) or 0) > 0
    device = Device(
        uuid, VENDOR, values.get("Dev Name", "GCU").removeprefix("Enflame ").strip(),
        whole(values.get("Total Size", values.get("Mem Size"))) or 0,  # the first since driver 1.4
        UNHEALTHY if has_failed else HEALTHY, numa_of(address), is_identified=bool(own),
    )  # fmt: skip
    return device, Figure(
        uuid, percent(values.get("GCU Usage")), whole(values.get("Used Size", values.get("Mem Usage"))),
        number(values.get("Cur Power")), number(values.get("GCU Temp")),
    )  # fmt: skip
