"""By what a machine and a card are known again wherever they are seen: system UUIDs, serials, PCI addresses.

What firmware says is often no identity at all: zeros, "Not Specified", one UUID for a whole series of boards. Such
words identify nothing, and what they would have linked stays apart.
"""

import re
from uuid import UUID

# UUIDs that makers left in their firmware, as their tools print them, in both orders of bytes.
_KNOWN_PLACEHOLDERS = frozenset({
    "03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc", "12345678-1234-1234-1234-123456789012",
    "01234567-89ab-cdef-0123-456789abcdef", "00112233-4455-6677-8899-aabbccddeeff",
})  # fmt: skip
_NO_SERIAL = frozenset({
    "", "notspecified", "notavailable", "notapplicable", "notprovided", "notpresent", "notset", "unknown", "none",
    "null", "na", "default", "defaultstring", "systemserialnumber", "boardserialnumber", "serialnumber", "serial",
    "oem", "tobefilledbyoem", "invalid", "empty", "unspecified", "unsupported", "notsupported", "0123456789",
    "123456789", "1234567890", "12345678", "1234567",
})  # fmt: skip
_PCI = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-7]))?")
_VENDOR_UUID = re.compile(r"(?:^|[^0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:$|[^0-9a-f])")


def plain(told: str) -> str:
    """A system UUID as it is kept: in small letters."""
    return told.strip().lower()[:64]


def machine_of(told: str) -> str:
    """The same for one machine whichever way its firmware's UUID was read; "" when it identifies none.

    Before SMBIOS 2.6 nothing said in which order the bytes of the first three fields stand, so one machine may be
    shown in two ways. The lesser of both stands for either.
    """
    try:
        uuid = UUID(plain(told))
    except ValueError:
        return ""
    text, swapped = str(uuid), str(UUID(bytes=uuid.bytes_le))
    if len(set(uuid.hex)) <= 2 or {text, swapped} & _KNOWN_PLACEHOLDERS:
        return ""
    return min(text, swapped)


def forms_of(machine: str) -> tuple[str, str]:
    """Both ways in which a machine may be shown."""
    return machine, str(UUID(bytes=UUID(machine).bytes_le))


def serial_of(told: str) -> str:
    """A board's serial; "" for words that stand where there is none."""
    text = " ".join(told.split()).upper()[:64]
    letters = re.sub(r"[^0-9a-z]", "", text.lower())
    return "" if letters in _NO_SERIAL or len(set(letters)) < 2 or len(letters) < 4 else text


def pci_of(told: str) -> str:
    """As Linux writes it, 0000:65:00.0; "" for what is no address. Some tools write the domain with eight digits."""
    found = _PCI.fullmatch(told.strip().lower())
    if found is None:
        return ""
    domain, bus, slot, function = found.groups()
    domain = (domain or "0000").lstrip("0").rjust(4, "0")
    return f"{domain}:{bus}:{slot}.{function or 0}"


def is_of_the_chip(uuid: str) -> bool:
    """A card's name that its vendor made for this chip alone, as GPU-<uuid>: two of them are two chips, even on one
    board with one serial."""
    return bool(_VENDOR_UUID.search(uuid.lower()))
