"""What the operator says of a release, in words that are signed: which version it is, and who may take it when."""

import base64
import binascii
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aquifer_agent.updates import ed25519

FORMAT = "aquifer-agent-release/1"
MOST_MANIFEST_BYTES = 8 * 1024
MOST_RELEASE_BYTES = 32 * 1024 * 1024
_VERSION = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}", re.ASCII)
_KEY_KIND = "ed25519"


class Refusal(Exception):
    """This release is not taken. `reason` is one CamelCase word, the text is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BadKeys(Exception):
    """The file of keys cannot be used; said to the user as it is."""


@dataclass(frozen=True, slots=True)
class Manifest:
    version: str
    minimum_version: str  # of the agent that takes it
    serial: int  # higher with every release that is signed
    size: int
    sha256: str
    not_before: float
    expires: float

    @property
    def file_name(self) -> str:
        return f"{self.sha256}.pyz"


def opened(text: str, signature: str, keys: Sequence[bytes]) -> Manifest:
    """The manifest, once one of the operator's keys vouches for exactly these bytes. Raises Refusal."""
    if not keys:
        raise Refusal("NoReleaseKey", "This agent was given no key of its operator, so it takes no release.")
    data = text.encode()
    try:
        signed = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        signed = b""
    if len(data) > MOST_MANIFEST_BYTES or not any(ed25519.verify(key, data, signed) for key in keys):
        raise Refusal("BadSignature", "No key that this agent was given has signed the release.")
    return parsed(text)


def parsed(text: str) -> Manifest:
    """What the text says, unsigned as it may be. Raises Refusal."""
    try:
        said = json.loads(text)
        if said["format"] != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        manifest = Manifest(
            version=_version(said["version"]),
            minimum_version=_version(said["minimum_version"]),
            serial=_whole(said["serial"]),
            size=_whole(said["size"]),
            sha256=str(said["sha256"]),
            not_before=_moment(said["not_before"]),
            expires=_moment(said["expires"]),
        )
        if not re.fullmatch("[0-9a-f]{64}", manifest.sha256):
            raise ValueError("sha256 is not that of a file")
        if not 0 < manifest.size <= MOST_RELEASE_BYTES:
            raise ValueError(f"size is not between 1 and {MOST_RELEASE_BYTES} bytes")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refusal("BadManifest", f"The manifest of the release cannot be used: {error}.") from None
    return manifest


def check(manifest: Manifest, *, own_version: str, last_serial: int, known_time: float) -> None:
    """Raises Refusal when this agent is not to take it now.

    `known_time` is a moment that a signed manifest once vouched for: a clock that was set back revives nothing.
    """
    now = max(time.time(), known_time)
    if manifest.serial <= last_serial:
        raise Refusal("OldRelease", f"Release {manifest.serial} is not newer than {last_serial}, taken here before.")
    if order_of(manifest.version) <= order_of(own_version):
        raise Refusal("Downgrade", f"Version {manifest.version} is not above {own_version}, which runs here.")
    if order_of(own_version) < order_of(manifest.minimum_version):
        raise Refusal("TooFarBehind", f"It takes an agent of {manifest.minimum_version} at least to take this release.")
    if now < manifest.not_before:
        raise Refusal("NotYet", f"The release is not to be used before {_words(manifest.not_before)}.")
    if now >= manifest.expires:
        raise Refusal("Expired", f"The release was to be used until {_words(manifest.expires)}.")


def order_of(version: str) -> tuple[int, ...]:
    """Versions in the order of their numbers; anything else is before all of them."""
    return tuple(map(int, version.split("."))) if _VERSION.fullmatch(version) else (-1,)


def read_keys(path: Path) -> list[bytes]:
    """The operator's public keys: a line each, `ed25519 BASE64 whose it is`; empty lines and # are passed over."""
    keys = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        try:
            key = base64.b64decode(words[1], validate=True) if words[0] == _KEY_KIND else b""
        except (binascii.Error, ValueError, IndexError):
            key = b""
        if len(key) != ed25519.KEY_BYTES:
            raise BadKeys(f"Line {number} of {path} is not a key; it looks like: {_KEY_KIND} BASE64 whose it is")
        keys.append(key)
    return keys


def key_line(key: bytes, whose: str) -> str:
    return f"{_KEY_KIND} {base64.b64encode(key).decode()} {whose}".strip()


def _version(value: Any) -> str:
    if not isinstance(value, str) or not _VERSION.fullmatch(value):
        raise ValueError(f"{value!r:.40} is not a version such as 1.2.3")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**53:
        raise ValueError(f"{value!r:.40} is not a whole number above 0")
    return value


def _moment(value: Any) -> float:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value:.40} has no offset from UTC")
    return moment.timestamp()


def _words(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
