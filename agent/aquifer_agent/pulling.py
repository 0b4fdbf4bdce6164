"""What a shim does for a container beside starting it: fetch its image before, and read how it ended after."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Protocol

from aquifer_agent import containers, files
from aquifer_agent import folder as f

_TAIL_BYTES = 900
_LOOK_SECONDS = 0.2


class Fetching(Protocol):
    """What is needed of the shim."""

    folder: Path
    spec: dict[str, Any]
    container: dict[str, Any]
    stop_wanted: bool


def fetch(shim: Fetching) -> tuple[str, str] | None:
    """Fetch the image if it is not here, heeding a wish to end meanwhile. Reason and message when there is none.

    It is no time of the work: nothing of it runs yet. What is fetched when we die is fetched again by the next shim.
    """
    image = str(shim.spec["image"])
    if containers.has_image(shim.container, image):
        return None
    mark = shim.folder / f.PULLING
    mark.touch()
    said = shim.folder / f".{f.PULLING}"
    try:
        with open(said, "wb") as output:
            pull = subprocess.Popen(  # noqa: S603 - the same program, a list of words and no shell
                [shim.container["program"], "pull", image],
                env=containers.environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        while True:
            try:
                code = pull.wait(_LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if (shim.folder / f.STOP).exists():
                    pull.send_signal(signal.SIGKILL)
                    pull.wait()
                    wish = files.read_json(shim.folder / f.STOP) or {}
                    return str(wish.get("reason") or "Stopped"), ""
        if code == 0:
            return None
        text = said.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").replace("\0", "?").strip()
        return "ImagePullFailed", text or f"{os.path.basename(shim.container['program'])} pull ended with {code}."
    finally:
        mark.unlink(missing_ok=True)
        said.unlink(missing_ok=True)


def verdict(last: containers.State, code: int, reason: str, spec: dict[str, Any]) -> tuple[int, int | None, str, str]:
    """Exit code, signal, reason and message, by what the engine says of the container rather than of its client."""
    if not last.has_started:
        known = {126: "CommandNotRunnable", 127: "CommandNotFound"}
        return code or 125, None, reason or known.get(code, "CouldNotStart"), last.error
    if last.is_running:  # its client was killed, or the engine let go of it
        return code or 137, None, reason or "KilledBySignal", "The engine's client ended before the container did."
    ended = last.exit_code
    number = ended - 128 if 128 < ended < 192 else None
    if not reason and last.ran_out_of_memory:
        return ended or 137, number, "OutOfMemory", f"It used more than its {spec.get('memory_mib')} MiB of memory."
    return ended, number, reason, ""
