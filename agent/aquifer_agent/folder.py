"""A run's folder: the names in it, and what may be read out of it by anybody at any time.

spec.json     written by the agent: order, limits, user. The folder appears with it, in one step
shim.json     the claim: only the process that creates it may ever start the command
started.json  written by the shim before the command is let go: without it, nothing has run
progress      seconds run so far, for the case that the shim dies with the machine
stop.json     the wish to end: {"grace_seconds", "remove", "reason", "generation", "epoch"}
exit.json     written by the shim last of all: {"exit_code", "signal", "ran_seconds", "reason", "message"}
pulling       there while the image of a container is fetched
container.env what a container sees of variables
output.log    stdout and stderr together, bounded
shim.log      the shim's own complaints
home/         the command's working directory and HOME
"""

from pathlib import Path
from typing import Any

SPEC, CLAIM, STARTED, STOP, EXIT = "spec.json", "shim.json", "started.json", "stop.json", "exit.json"
PULLING = "pulling"
PROGRESS, LOG, SHIM_LOG, HOME = "progress", "output.log", "shim.log", "home"

MARK = "AQUIFER_RUN"  # in the environment of all that belongs to a run: its folder, which no other agent has
MOST_LOG_BYTES = 16 * 1024 * 1024
DISK_FULL_STATUS = 75  # the shim could not write, and has started nothing


def read_progress(folder: Path) -> float:
    """Seconds that the run is known to have lasted; 0 when nothing was written down."""
    try:
        return float((folder / PROGRESS).read_text())
    except (OSError, ValueError):
        return 0.0


def log_size(folder: Path) -> int:
    try:
        return (folder / LOG).stat().st_size
    except OSError:
        return 0


def exit_record(
    exit_code: int, ran_seconds: float, reason: str = "", message: str = "", signal: int | None = None
) -> dict[str, Any]:
    return {
        "exit_code": exit_code,
        "signal": signal,
        "ran_seconds": round(ran_seconds, 3),
        "reason": reason,
        "message": message,
    }
