"""The words of rating. Data only."""

from enum import StrEnum

# Of the rules in this package. Raised when the same usage and prices would come to another amount.
RULE_VERSION = "1"


class Meter(StrEnum):
    """What is counted."""

    ACCELERATOR = "accelerator"  # the flavor's own unit: a card, or a core of a machine without cards
    CPU = "cpu"  # cores held beside cards
    MEMORY = "memory"  # of the host, held beside cards
    ENERGY = "energy"  # of what is held: as it was measured, else at its nominal power
    RESERVATION = "reservation"  # hours reserved in advance


class ServiceClass(StrEnum):
    """What a grant was given on."""

    GUARANTEED = "guaranteed"  # within the share that was promised
    OVER_QUOTA = "over-quota"  # beyond it, while others leave it idle
    BEST_EFFORT = "best-effort"  # nothing was promised


class TierMode(StrEnum):
    GRADUATED = "graduated"  # each unit at the price of the tier it falls in; never jumps
    VOLUME = "volume"  # all units at the price of the tier that the month's sum reaches; may jump


class TierScope(StrEnum):
    """Whose month is added up to find the tier."""

    TENANT = "tenant"
    PROJECT = "project"
    USER = "user"


class PricingModel(StrEnum):
    """As FOCUS's PricingCategory."""

    STANDARD = "standard"  # on demand
    COMMITTED = "committed"  # reserved
    DYNAMIC = "dynamic"  # over quota, best effort


UNITS = {
    (Meter.ACCELERATOR, "device"): "Accelerator-Hours",
    (Meter.ACCELERATOR, "core"): "Core-Hours",
    (Meter.CPU, "device"): "Core-Hours",
    (Meter.MEMORY, "device"): "GiB-Hours",
    (Meter.MEMORY, "core"): "GiB-Hours",
    (Meter.ENERGY, "device"): "kWh",
    (Meter.RESERVATION, "device"): "Accelerator-Hours",
    (Meter.RESERVATION, "core"): "Core-Hours",
}
