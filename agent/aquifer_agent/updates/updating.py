"""From the hub's offer to a release that runs: check, fetch, check again, try out, switch. The agent goes on meanwhile.

The hub offers in each answer; an offer that is no longer there is no longer followed. What is refused is told to the
hub, in words, and not tried again by this process unless the operator signs anew.
"""

import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aquifer_agent import VERSION, crash, files
from aquifer_agent.hub import Address, HubError, fetch
from aquifer_agent.updates import manifest as m
from aquifer_agent.updates.releases import Last, Releases, trial_seconds

logger = logging.getLogger(__name__)
PIECE_BYTES = 256 * 1024  # asked for at once: little enough for ten seconds
PATH = "/api/v1/agent-releases/"  # nothing else of the hub is fetched
_PAUSES = (1.0, 5.0, 30.0, 120.0)  # after a failed download
_TRY_OUT_SECONDS = 60.0


class Updates:
    """`take_offer` with each answer, `step` in each turn of the loop; neither waits."""

    def __init__(self, address: Address, secret: str, state_dir: Path, keys: Sequence[bytes]) -> None:
        self._address, self._secret, self._keys = address, secret, keys
        self._releases = Releases(state_dir)
        self._trial_until = time.monotonic() + trial_seconds()
        self._offer: dict[str, Any] | None = None
        self._known: tuple[str, str] = ("", "")  # manifest and signature that were looked at
        self._manifest: m.Manifest | None = None
        self._said: Last | None = None
        self._work: Download | None = None
        self._failures, self._next_try = 0, 0.0
        self.wants_restart = False
        if self._releases.is_on_trial:
            crash.point("update-on-trial")

    def status(self) -> dict[str, Any]:
        """For the report: what runs here, and how it goes with another release."""
        said = self._said.to_json() if self._said else self._releases.last
        return {"version": VERSION, "release": said}

    def spoke(self) -> None:
        """The hub has taken a report and its answer was understood: that is what a release must prove."""
        if self._releases.is_on_trial:
            try:
                self._releases.confirm()
            except OSError as error:
                logger.warning("Cannot write down that this release works: %s.", error)

    def take_offer(self, offer: Mapping[str, Any] | None) -> None:
        self._offer = dict(offer) if isinstance(offer, Mapping) else None
        if self._offer is None:
            self._said = None
            return
        seen = (str(self._offer.get("manifest", "")), str(self._offer.get("signature", "")))
        if seen == self._known:
            return
        self._known, self._manifest, self._failures, self._next_try = seen, None, 0, 0.0
        try:
            if not str(self._offer.get("path")).startswith(PATH):
                raise m.Refusal("BadManifest", "The hub does not say where the file of the release is.")
            manifest = m.opened(*seen, self._keys)
        except m.Refusal as refusal:
            self._refuse(refusal, self._offer)
            return
        if manifest.serial != self._releases.serial:  # else it was put in force here once, and its end is told
            self._manifest = manifest
            crash.point("update-offered")

    def step(self) -> None:
        if self._releases.is_on_trial and time.monotonic() > self._trial_until:
            self._releases.take_back("NeverAnswered", f"It had no answer of the hub in {trial_seconds():.0f} s.")
            self.wants_restart = True
        manifest = self._manifest
        if self._offer is None or manifest is None or self.wants_restart:
            return
        if self._work is not None:
            self._see(self._work, manifest)
        elif time.monotonic() >= self._next_try and self._is_for_us(manifest):
            self._said = Last(manifest.version, manifest.serial, "downloading")
            self._work = Download(
                self._address, self._secret, str(self._offer["path"]), self._releases.folder, manifest
            )

    def _is_for_us(self, manifest: m.Manifest) -> bool:
        try:
            m.check(
                manifest,
                own_version=VERSION,
                last_serial=self._releases.serial,
                known_time=self._releases.known_time,
            )
        except m.Refusal as refusal:
            self._next_try = time.monotonic() + 60.0  # it may be early; or the clock is wrong, and will be set
            self._refuse(refusal, {"version": manifest.version, "serial": manifest.serial}, is_final=False)
            return False
        return True

    def _see(self, work: "Download", manifest: m.Manifest) -> None:
        if not work.is_over():
            return
        self._work = None
        if work.manifest != manifest:
            return  # another offer came meanwhile
        if isinstance(work.error, m.Refusal):
            self._refuse(work.error, {"version": manifest.version, "serial": manifest.serial})
            return
        if work.error is not None:
            pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
            self._failures += 1
            self._next_try = time.monotonic() + pause
            message = f"{work.error} Trying again in {pause:.0f} s."
            self._said = Last(manifest.version, manifest.serial, "downloading", "DownloadFailed", message[:500])
            logger.warning("Release %s: %s", manifest.version, message)
            return
        if not self._is_for_us(manifest):
            return
        try:
            self._releases.begin_trial(manifest)
        except OSError as error:
            self._next_try = time.monotonic() + _PAUSES[-1]
            self._said = Last(manifest.version, manifest.serial, "downloading", "DiskFull", str(error))
            return
        logger.info("Release %s is in place; starting it.", manifest.version)
        self.wants_restart = True

    def _refuse(self, refusal: m.Refusal, what: Mapping[str, Any], *, is_final: bool = True) -> None:
        if is_final:
            self._manifest = None
        serial = what.get("serial")
        said = Last(
            str(what.get("version", ""))[:32], serial if isinstance(serial, int) else 0,
            "refused", refusal.reason, str(refusal)[:500],
        )  # fmt: skip
        if said != self._said:
            logger.warning("Not taking release %s: %s", said.version, refusal)
        self._said = said


class Download:
    """In a thread of its own, and from where an earlier one ended. When it is over without an error, it is staged."""

    def __init__(self, address: Address, secret: str, path: str, folder: Path, manifest: m.Manifest) -> None:
        self.manifest = manifest
        self.error: Exception | None = None
        self._place = (address, secret, path)
        self._folder = folder
        self._thread = threading.Thread(target=self._run, name="release", daemon=True)
        self._thread.start()

    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._stage()
        except (HubError, OSError, m.Refusal) as error:
            self.error = error
        except Exception as error:  # told like the others; the agent goes on
            self.error = HubError(f"{type(error).__name__}: {error}")

    def _stage(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        whole = self._folder / self.manifest.file_name
        if not whole.exists():
            part = whole.with_suffix(".part")
            self._fetch(part)
            crash.point("update-fetched")
            self._check(part)
            part.rename(whole)
            files.sync_folder(self._folder)
        try:
            self._check(whole)
            self._try_out(whole)
        except m.Refusal:
            whole.unlink(missing_ok=True)
            raise
        crash.point("update-staged")

    def _fetch(self, part: Path) -> None:
        size = self.manifest.size
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            at = os.fstat(descriptor).st_size
            while at < size:
                piece = fetch(*self._place, at, min(PIECE_BYTES, size - at))
                files.write_all(descriptor, piece)
                at += len(piece)
                crash.point("update-part-written")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _check(self, file: Path) -> None:
        data = file.read_bytes() if file.stat().st_size == self.manifest.size else b""
        if hashlib.sha256(data).hexdigest() != self.manifest.sha256:
            file.unlink()
            raise m.Refusal("WrongHash", "What the hub sent is not the file that was signed.")

    def _try_out(self, file: Path) -> None:
        """Does it start on this machine's Python, and is it what it says?"""
        words = [sys.executable, "-I", str(file), "--version"]
        try:
            done = subprocess.run(  # noqa: S603 - signed, and by full path
                words, capture_output=True, text=True, timeout=_TRY_OUT_SECONDS, check=False, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise m.Refusal("DoesNotStart", f"It did not say its version in {_TRY_OUT_SECONDS:.0f} s.") from None
        if done.returncode:
            raise m.Refusal("DoesNotStart", f"It does not start on this machine: {done.stderr.strip()[-300:]}")
        if done.stdout.strip() != self.manifest.version:
            raise m.Refusal("WrongVersion", f"It says that it is {done.stdout.strip():.40}, not what was signed.")
