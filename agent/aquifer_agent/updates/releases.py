"""Which release runs here: written down in one small file, chosen at each start, taken back when it does no good.

releases/releases.json   {"serial", "known_time", "active", "trial", "last"}
releases/SHA256.pyz      releases that were checked; the present one and the one before it
releases/SHA256.part     as much as has arrived of one

What the machine's owner installed is the *base*. It is what is started; when a newer release is active or on trial, it
puts that in its own place (exec), so that there is one process, and the base is there to fall back to.
"""

import contextlib
import hashlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aquifer_agent import VERSION, crash, files
from aquifer_agent.updates.manifest import Manifest, order_of

logger = logging.getLogger(__name__)
FOLDER, STATE = "releases", "releases.json"
MOST_ATTEMPTS = 3  # to start a release on trial
TRIAL_SECONDS = 120.0
TRIAL_VARIABLE = "AQUIFER_AGENT_TRIAL_SECONDS"
_RELEASE, _BASE = "AQUIFER_AGENT_RELEASE", "AQUIFER_AGENT_BASE"


@dataclass(frozen=True, slots=True)
class Last:
    """How the last attempt at another release went, for the hub."""

    version: str
    serial: int
    state: str
    reason: str = ""
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Releases:
    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / FOLDER
        self._kept: dict[str, Any] = files.read_json(self.folder / STATE) or {}
        self.running = os.environ.get(_RELEASE, "")  # SHA-256 of the release that this process is; empty: the base

    @property
    def serial(self) -> int:
        """Of the newest release that was ever put in force here, also when it was taken back."""
        return int(self._kept.get("serial", 0))

    @property
    def known_time(self) -> float:
        return float(self._kept.get("known_time", 0.0))

    @property
    def is_on_trial(self) -> bool:
        return bool(self.running) and (self._kept.get("trial") or {}).get("sha256") == self.running

    @property
    def last(self) -> dict[str, Any] | None:
        found = self._kept.get("last")
        return found if isinstance(found, dict) else None

    def file(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.pyz"

    def begin_trial(self, manifest: Manifest) -> None:
        """From here on the next start is of this release. Raises OSError, and then nothing has changed."""
        release = {"version": manifest.version, "serial": manifest.serial, "sha256": manifest.sha256}
        self._save(
            serial=manifest.serial,
            known_time=max(self.known_time, manifest.not_before),
            trial={**release, "attempts": 0},
        )
        crash.point("update-switched")

    def confirm(self) -> None:
        """It has spoken with the hub: it stays. Raises OSError."""
        trial = self._kept["trial"]
        release = {name: trial[name] for name in ("version", "serial", "sha256")}
        before = (self._kept.get("active") or {}).get("sha256", "")
        self._save(active=release, trial=None, last=Last(trial["version"], trial["serial"], "done").to_json())
        signal.alarm(0)
        crash.point("update-confirmed")
        logger.info("Release %s works and stays.", trial["version"])
        self._tidy({trial["sha256"], before})

    def take_back(self, reason: str, message: str) -> None:
        """The release on trial has failed; the one before it runs from the next start on."""
        trial = self._kept["trial"]
        logger.error("Release %s is taken back: %s", trial["version"], message)
        last = Last(trial["version"], trial["serial"], "failed", reason, message).to_json()
        try:
            self._save(trial=None, last=last)
        except OSError as error:  # then its attempts run out
            logger.warning("Cannot write that down: %s.", error)
        signal.alarm(0)  # it would end the release that comes back
        crash.point("update-taken-back")

    def choose(self) -> tuple[dict[str, Any], bool] | None:
        """At a start of the base: the release to put in its place, and whether it is on trial."""
        trial = self._kept.get("trial")
        if trial and int(trial["attempts"]) >= MOST_ATTEMPTS:
            self.take_back("DidNotStart", f"It was started {MOST_ATTEMPTS} times and never spoke with the hub.")
        elif trial and not self._is_whole(trial):
            self.take_back("Damaged", "Its file is not what was checked.")
        elif trial:
            try:
                self._save(trial={**trial, "attempts": int(trial["attempts"]) + 1})
                crash.point("update-trial-noted")
                return trial, True
            except OSError as error:
                logger.warning("Cannot note that a release is tried: %s. Going on without it.", error)
        active = self._kept.get("active")
        if not active or order_of(active["version"]) <= order_of(VERSION):
            return None  # none, or what is installed by now is newer
        if not self._is_whole(active):
            logger.error("The file of release %s is damaged; the installed %s runs.", active["version"], VERSION)
            return None
        return active, False

    def _is_whole(self, release: Mapping[str, Any]) -> bool:
        try:
            found = hashlib.sha256(self.file(release["sha256"]).read_bytes()).hexdigest()
        except OSError:
            return False
        return found == str(release["sha256"])

    def _save(self, **values: Any) -> None:
        kept = {**self._kept, **values}
        self.folder.mkdir(mode=0o700, exist_ok=True)
        files.write_json(self.folder / STATE, kept)
        self._kept = kept

    def _tidy(self, wanted: set[str]) -> None:
        for file in self.folder.glob("*.p*"):
            if file.stem not in wanted:
                with contextlib.suppress(OSError):
                    file.unlink()


def enter(state_dir: Path) -> None:
    """Begin of `run`, under the lock: does not return when another release is to run here."""
    releases = Releases(state_dir)
    if releases.running:
        return
    chosen = releases.choose()
    if chosen is None:
        return
    release, is_trial = chosen
    logger.info("Release %s runs%s.", release["version"], " on trial" if is_trial else "")
    if is_trial:
        # Outlives exec: ends what hangs before it ever gets as far as to look at its own time.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(trial_seconds() * 1.25) + 1)
    base = [sys.executable, *sys.orig_argv[1:]]
    words = [sys.executable, "-I", str(releases.file(release["sha256"])), *sys.argv[1:]]
    _exec(words, {**os.environ, _RELEASE: release["sha256"], _BASE: json.dumps(base)})


def again() -> None:
    """Start anew in the place of this process, from the base, which chooses. Does not return."""
    base = json.loads(os.environ.get(_BASE, "null")) or [sys.executable, *sys.orig_argv[1:]]
    _exec(base, {name: value for name, value in os.environ.items() if name not in (_RELEASE, _BASE)})


def _exec(words: list[str], variables: Mapping[str, str]) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execve(words[0], words, variables)  # noqa: S606 - our own program, and no shell


def trial_seconds() -> float:
    return float(os.environ.get(TRIAL_VARIABLE, TRIAL_SECONDS))
