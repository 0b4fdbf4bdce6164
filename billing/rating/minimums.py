"""Least lengths and whole steps: what a run is billed beyond its seconds. Pure."""


def extra_seconds(ran: int, minimum: int, step: int) -> int:
    """How much is missing to the least, and from there to a whole step. Nothing where nothing ran."""
    if ran <= 0:
        return 0
    least = max(ran, minimum)
    return -(-least // step) * step - ran
