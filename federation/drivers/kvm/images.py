"""Images of virtual machines that a host has not: fetched into our pool, each once, and known by their checksum.

A driver never waits, so each look takes what comes for a moment (fetch.py) and hands it on to the host. What is known
of an image stands in names of volumes, as all that the site remembers (pool.py):

    aquifer-image.SHA256.TAG                    the file itself; TAG is of whoever fetches it
    aquifer-image.SHA256.TAG.at.SECONDS.MIB     he was at it then, and had so much
    aquifer-image.SHA256.TAG.done.FORMAT.BYTES  all of it is there and is what it should be; its size as a disk

Several processes of a hub may begin at the same time: each writes a file of its own, and the one with the smaller tag
goes on. The checksum is of what was handed over, so it is lost with the process, and another begins anew.
"""

import re
import secrets
import struct
import threading
import time
from dataclasses import dataclass

from federation.drivers.base import Boot, Rejected
from federation.drivers.kvm.fetch import Changed, Fetch, Rules
from federation.drivers.kvm.host import Host
from federation.drivers.kvm.names import PREFIX
from federation.drivers.kvm.pool import Image, Pool
from federation.drivers.kvm.ways import Ways

STEP_SECONDS = 2.5
ALIVE_SECONDS = 90.0  # by the host's clock: whoever was not at it for so long is gone
MARK_SECONDS = 20.0
FORGOTTEN_SECONDS = 300.0
_NAME = re.compile(
    rf"{PREFIX}image\.(?P<sha>[0-9a-f]{{64}})\.(?P<tag>[0-9a-f]{{16}})"
    r"(?:\.at\.(?P<at>\d+)\.(?P<mib>\d+)|\.done\.(?P<format>qcow2|raw)\.(?P<size>\d+))?"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BeingFetched(Exception):
    """The message says how far it is."""


@dataclass(slots=True)
class Known:
    """What names say of one tag of one image."""

    sha: str
    tag: str
    has_file: bool = False
    at: float = 0.0
    mib: int = 0
    format: str = ""
    size: int = 0
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{PREFIX}image.{self.sha}.{self.tag}"


@dataclass(slots=True)
class Mine:
    """What this process fetches for one host."""

    tag: str
    fetch: Fetch
    marked_at: float = 0.0
    mark: str = ""


_mine: dict[tuple[str, str, str], Mine] = {}
_turn = threading.Lock()


class Images:
    def __init__(self, host: Host, pool: Pool, ways: Ways) -> None:
        self._host, self._pool, self._ways = host, pool, ways

    def fetched(self, names: frozenset[str], boot: Boot) -> Image:
        """The image, once it is there. Raises BeingFetched, Rejected."""
        sha = boot.image_sha256.lower()
        if not _SHA256.fullmatch(sha):
            raise Rejected("ChecksumRequired", "An image that is fetched needs its SHA-256.")
        if boot.image_format not in ("", "qcow2", "raw"):
            raise Rejected("ImageFormatNotSupported", "A virtual machine starts from a disk: qcow2 or raw.")
        known = _read(names)
        for one in known:
            if one.sha == sha and one.format and one.has_file:
                return self._ready(one, boot)
        with _turn:
            return self._step(known, sha, boot)

    def _ready(self, one: Known, boot: Boot) -> Image:
        if boot.image_format and boot.image_format != one.format:
            raise Rejected("ImageFormatWrong", f"The image is {one.format}, not {boot.image_format}.")
        return Image(f"{self._pool.path}/{one.name}", one.format, one.size)

    def _step(self, known: list[Known], sha: str, boot: Boot) -> Image:
        key = (str(self._host.connection.getURI()), self._ways.pool, sha)
        _sweep()
        mine = _mine.get(key)
        now = self._host.wall()
        others = [
            k for k in known if k.sha == sha and k.at > now - ALIVE_SECONDS and (mine is None or k.tag != mine.tag)
        ]
        first = min(others, key=lambda k: k.tag, default=None)
        if first is not None and (mine is None or first.tag < mine.tag):
            if mine is not None:
                self._give_up(key, known)
            raise BeingFetched(f"The image is being fetched: {first.mib} MiB are here.")
        if mine is None:
            self._drop_dead(known, now)
            rules = Rules(self._ways.image_networks, self._ways.image_loopback, self._ways.most_image_mib << 20)
            mine = _mine[key] = Mine(secrets.token_hex(8), Fetch(boot.image_url, rules))
            self._mark(sha, mine)
            self._pool.make_empty(f"{PREFIX}image.{sha}.{mine.tag}")
        try:
            is_over = self._take(sha, mine)
            if is_over:
                return self._finish(key, mine, boot)
        except (Rejected, self._host.Error):  # what the host did not take is not known to the byte
            self._give_up(key, _read(self._pool.names()))
            raise
        if time.monotonic() - mine.marked_at > MARK_SECONDS:
            self._mark(sha, mine)
        raise BeingFetched(_progress(mine.fetch))

    def _take(self, sha: str, mine: Mine) -> bool:
        name, until = f"{PREFIX}image.{sha}.{mine.tag}", time.monotonic() + STEP_SECONDS
        with self._pool.writing(name, mine.fetch.got) as write:
            try:
                return mine.fetch.take(until, write)
            except Changed:
                pass
        self._pool.drop(name)  # it may be shorter now
        self._pool.make_empty(name)
        return False

    def _finish(self, key: tuple[str, str, str], mine: Mine, boot: Boot) -> Image:
        sha, fetch = key[2], mine.fetch
        if fetch.sha256 != sha:
            raise Rejected("ImageChecksumWrong", "What the image's address gives has another SHA-256 than was said.")
        kind, size = _checked(fetch.head, fetch.got, boot.image_format)
        done = Known(sha, mine.tag, has_file=True, format=kind, size=size)
        self._pool.make_empty(f"{done.name}.done.{kind}.{size}")
        if mine.mark:
            self._pool.drop(mine.mark)
        del _mine[key]
        return self._ready(done, boot)

    def _mark(self, sha: str, mine: Mine) -> None:
        old = mine.mark
        mine.mark = f"{PREFIX}image.{sha}.{mine.tag}.at.{self._host.wall():.0f}.{mine.fetch.got >> 20}"
        mine.marked_at = time.monotonic()
        if mine.mark != old:
            self._pool.make_empty(mine.mark)
            if old:
                self._pool.drop(old)

    def _give_up(self, key: tuple[str, str, str], known: list[Known]) -> None:
        mine = _mine.pop(key)
        mine.fetch.close()
        for one in known:
            if (one.sha, one.tag) == (key[2], mine.tag) and not one.format:
                self._drop(one)

    def _drop_dead(self, known: list[Known], now: float) -> None:
        """What processes that ended left half done, of any image; and what says that a file is there that is not."""
        for one in known:
            if (one.format and not one.has_file) or (not one.format and one.at <= now - ALIVE_SECONDS):
                self._drop(one)

    def _drop(self, one: Known) -> None:
        for name in one.names:
            self._pool.drop(name)


def _read(names: frozenset[str]) -> list[Known]:
    found: dict[tuple[str, str], Known] = {}
    for name in names:
        said = _NAME.fullmatch(name)
        if said is None:
            continue
        one = found.setdefault((said["sha"], said["tag"]), Known(said["sha"], said["tag"]))
        one.names += (name,)
        if said["at"]:
            if float(said["at"]) >= one.at:
                one.at, one.mib = float(said["at"]), int(said["mib"])
        elif said["format"]:
            one.format, one.size = said["format"], int(said["size"])
        else:
            one.has_file = True
    return sorted(found.values(), key=lambda one: (one.sha, one.tag))


def _checked(head: bytes, size: int, wanted: str) -> tuple[str, int]:
    """Its format, and how large a disk it is. A qcow2 that would open other files of the host is refused."""
    is_qcow2 = head.startswith(b"QFI\xfb") and wanted != "raw"
    if wanted == "qcow2" and not is_qcow2:
        raise Rejected("ImageFormatWrong", "The image is not qcow2.")
    if not is_qcow2:
        return "raw", size
    if len(head) < 72:
        raise Rejected("ImageFormatWrong", "The image is too short for qcow2.")
    version, backing = struct.unpack(">IQ", head[4:16])
    (capacity,) = struct.unpack(">Q", head[24:32])
    features = struct.unpack(">Q", head[72:80])[0] if version >= 3 and len(head) >= 80 else 0
    if backing or features & 4:
        raise Rejected("ImageNotWhole", "The image is a part of another one, or keeps its data in another file.")
    return "qcow2", int(capacity)


def _progress(fetch: Fetch) -> str:
    got = f"{fetch.got >> 20} of {fetch.total >> 20} MiB" if fetch.total else f"{fetch.got >> 20} MiB"
    trouble = f" {fetch.trouble} Trying again." if fetch.trouble else ""
    return f"The image is being fetched: {got} are here.{trouble}"


def _sweep() -> None:
    """What nobody asks for any more."""
    for key in [k for k, m in _mine.items() if time.monotonic() - m.fetch.looked_at > FORGOTTEN_SECONDS]:
        _mine.pop(key).fetch.close()
