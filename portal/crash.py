"""Crash points: `AQUIFER_CRASH_AT=name` kills this process at the named line, as a power cut would.

Only outside production. Tests walk every name in POINTS and show that nothing is lost, doubled or left over.
"""

import os
import signal

POINTS = (
    "grant.before-commit",  # admission: allocations written, not committed
    "grant.after-commit",
    "ensure.before",  # reserved, lease taken, the site not yet told
    "ensure.after",  # the site has it, the hub has not written that down
    "ensure.settled",  # written down
    "observe.after",  # seen to run or to end, not written down
    "remove.before",
    "remove.after",  # the site has let go, the hub has not written that down
    "remove.settled",
)

_at = os.environ.get("AQUIFER_CRASH_AT", "") if os.environ.get("AQUIFER_MODE") in {"local", "test"} else ""


def point(name: str) -> None:
    """Die here if this point was chosen. With AQUIFER_CRASH_ONCE=file, only the first process to come by."""
    if name != _at:
        return
    if once := os.environ.get("AQUIFER_CRASH_ONCE"):
        try:
            os.close(os.open(once, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
