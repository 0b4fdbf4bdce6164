"""The words of controllers, in ours. A word that is not here is unknown."""

from collections.abc import Mapping

from federation.drivers.abilities import Power
from federation.drivers.base import BootFrom, Health

HEALTH: Mapping[str, Health] = {
    "OK": Health.HEALTHY,
    "Warning": Health.HEALTHY,  # works, and somebody should look at it
    "Critical": Health.UNHEALTHY,
}
# Between on and off a controller says PoweringOn or PoweringOff: not yet the one, no longer the other.
POWER: Mapping[str, Power] = {"On": Power.ON, "Off": Power.OFF, "Paused": Power.ON}
BOOT: Mapping[BootFrom, str] = {BootFrom.DISK: "Hdd", BootFrom.PXE: "Pxe", BootFrom.VIRTUAL_MEDIA: "Cd"}

ACCELERATORS = frozenset({"GPU", "Accelerator"})  # of ProcessorType
CLASSES = frozenset({"DisplayController", "ProcessingAccelerators", "Coprocessor"})  # of a PCIe function

# Who makes accelerators, by a word of Manufacturer or Model. Chips that only draw a console's screen are not here.
_MAKERS: tuple[tuple[str, str], ...] = (
    ("nvidia", "nvidia"),
    ("advanced micro devices", "amd"),
    ("amd", "amd"),
    ("ascend", "ascend"),
    ("huawei", "ascend"),
    ("cambricon", "cambricon"),
    ("hygon", "hygon"),
    ("moore threads", "moore-threads"),
    ("iluvatar", "iluvatar"),
    ("metax", "metax"),
    ("enflame", "enflame"),
    ("kunlun", "kunlunxin"),
    ("intel", "intel"),
)


def maker(*texts: object) -> str:
    """The vendor in our spelling; empty where it is none that we know."""
    for text in texts:
        lowered = text.lower() if isinstance(text, str) else ""
        words = lowered.replace("(", " ").replace(",", " ").split()
        for word, vendor in _MAKERS:
            if word in words if " " not in word else word in lowered:
                return vendor
        if any(word.startswith("ascend") for word in words):
            return "ascend"
    return ""
