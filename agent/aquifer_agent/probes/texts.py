"""Small readings that all tools' outputs need."""

import re
from collections.abc import Iterator
from pathlib import Path

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PCI = re.compile(r"(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])")
PCI_DEVICES = Path("/sys/bus/pci/devices")


def number(text: object) -> float | None:
    """The first number in "47 C", "104W / 350W", 12.5; None for "N/A" and all that is none."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    found = _NUMBER.search(text) if isinstance(text, str) else None
    return float(found[0]) if found else None


def whole(text: object) -> int | None:
    found = number(text)
    return None if found is None else int(found)


def percent(text: object) -> float | None:
    found = number(text)
    return None if found is None else min(max(found, 0.0), 100.0)


def pci(text: str) -> str | None:
    """An address as the kernel writes it: 0000:5a:00.0."""
    found = _PCI.search(text)
    if not found:
        return None
    domain, bus, device, function = found.groups()
    return f"{(domain or '0000')[-4:]}:{bus}:{device}.{function}".lower()


def numa_of(address: str | None) -> int | None:
    """The NUMA node that a PCI address belongs to, as the kernel says; None where it does not."""
    if address is None:
        return None
    try:
        node = int((PCI_DEVICES / address / "numa_node").read_text())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None


def has_pci_vendor(vendor: str) -> bool:
    """Whether the machine has any device of this PCI vendor ("0x1d22")."""
    try:
        return any((path / "vendor").read_text().strip() == vendor for path in PCI_DEVICES.iterdir())
    except OSError:
        return False


def cells(line: str) -> list[str]:
    """The cells of a row of a drawn table; none for its rules."""
    if not line.startswith("|") or set(line) <= set("|-=+ "):
        return []
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def sections(text: str, head: re.Pattern[str]) -> Iterator[tuple["re.Match[str]", dict[str, str]]]:
    """The `Name : value` lines below each line that `head` matches. Of a name that comes twice, the first."""
    match, values = None, dict[str, str]()
    for line in text.splitlines():
        if found := head.match(line):
            if match:
                yield match, values
            match, values = found, {}
        elif match:
            name, colon, value = line.partition(":")
            if colon:
                values.setdefault(name.strip(), value.strip())
    if match:
        yield match, values
