"""Our storage pool at a host: the disks of our work, and what the site itself remembers.

What was removed, and the highest epoch that was seen, are empty volumes whose names say it. Making a volume is one
step that happens or does not, nothing is ever written over, and they are files: they outlive the hub, the library and
the host's restarts. Two workers of the hub that write at once can lose nothing of each other's.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

from federation.drivers.base import Rejected
from federation.drivers.kvm.host import Host
from federation.drivers.kvm.names import PREFIX, mark_of, name_of
from federation.drivers.kvm.trees import parsed

TOMBSTONE_SECONDS = 48 * 3600  # longer than any worker can be late
_PRUNED_AT_ONCE = 20
_AT_ONCE = 1 << 16
_EPOCH = re.compile(rf"{PREFIX}epoch\.(\d{{20}})")
_MARK = re.compile(rf"({PREFIX}gone\.[0-9a-f]{{40}})\.(\d+)")


class Pool:
    def __init__(self, host: Host, name: str, path: str) -> None:
        self._host, self._name, self._path = host, name, path
        self._found: Any = None

    @property
    def pool(self) -> Any:
        """Running; made where it is not there."""
        if self._found is not None:
            return self._found
        host, known = self._host, self._host.libvirt
        try:
            found = host.connection.storagePoolLookupByName(self._name)
        except host.Error as error:
            if error.get_error_code() != known.VIR_ERR_NO_STORAGE_POOL:
                raise
            found = host.connection.storagePoolDefineXML(_pool_xml(self._name, self._path))
            found.setAutostart(1)
        if not found.isActive():
            found.create(known.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
        self._found = found
        return found

    def names(self) -> frozenset[str]:
        return frozenset(self.pool.listVolumes())

    # -- what the site remembers -----------------------------------------------------------------------

    def check_epoch(self, names: frozenset[str], epoch: int) -> None:
        """Refuse what a forgotten worker sends; note an epoch that is newer."""
        seen = max((int(m.group(1)) for n in names if (m := _EPOCH.fullmatch(n))), default=0)
        if epoch < seen:
            raise Rejected("OldGeneration", f"This is of epoch {epoch}; the site has seen {seen}.")
        if epoch > seen:
            self.make_empty(f"{PREFIX}epoch.{epoch:020d}")
            for name in names:
                if _EPOCH.fullmatch(name):
                    self.drop(name)

    @staticmethod
    def is_gone(names: frozenset[str], ref: str) -> bool:
        mark = mark_of(ref) + "."
        return any(name.startswith(mark) for name in names)

    def bury(self, names: frozenset[str], ref: str) -> None:
        if not self.is_gone(names, ref):
            self.make_empty(f"{mark_of(ref)}.{self._host.wall():.0f}")

    def prune(self, names: frozenset[str]) -> None:
        """Forget what was removed long ago: a few at a time."""
        end = self._host.wall() - TOMBSTONE_SECONDS
        old = [n for n in names if (m := _MARK.fullmatch(n)) and int(m.group(2)) < end]
        for name in sorted(old)[:_PRUNED_AT_ONCE]:
            self.drop(name)

    def make_empty(self, name: str) -> None:
        try:
            self.pool.createXML(_volume_xml(name, 0, "raw"), 0)
        except self._host.Error as error:
            if error.get_error_code() not in (
                self._host.libvirt.VIR_ERR_STORAGE_VOL_EXIST, self._host.libvirt.VIR_ERR_OPERATION_FAILED,
            ) or name not in self.names():  # fmt: skip
                raise

    # -- disks -----------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return parsed(self.pool.XMLDesc()).findtext("target/path") or self._path

    def make_disk(self, names: frozenset[str], ref: str, base: "Image", mib: int) -> str:
        """A disk on top of an image that stays as it is. Its path; made before, it is as it was."""
        name = f"{name_of(ref)}.qcow2"
        size = max(mib << 20, base.size)
        if name not in names:
            self.pool.createXML(_volume_xml(name, size, "qcow2", base), 0)
        return f"{self.path}/{name}"

    def make_seed(self, names: frozenset[str], ref: str, data: bytes) -> str:
        name = f"{name_of(ref)}.iso"
        if name in names:  # perhaps half written
            self.drop(name)
        volume = self.pool.createXML(_volume_xml(name, len(data), "raw"), 0)
        self.upload(volume, data)
        return f"{self.path}/{name}"

    def upload(self, volume: Any, data: bytes) -> None:
        stream = self._host.connection.newStream(0)
        volume.upload(stream, 0, len(data))
        for start in range(0, len(data), 1 << 16):
            stream.send(data[start : start + (1 << 16)])
        stream.finish()

    @contextlib.contextmanager
    def writing(self, name: str, offset: int) -> Iterator[Callable[[bytes], None]]:
        """Hand over bytes from there on, for as long as one likes: they are at the host when this ends."""
        stream = self._host.connection.newStream(0)
        self.pool.storageVolLookupByName(name).upload(stream, offset, 0)

        def write(data: bytes) -> None:
            view = memoryview(data)
            while view:
                view = view[stream.send(bytes(view[:_AT_ONCE])) :]

        try:
            yield write
        except BaseException:
            with contextlib.suppress(self._host.Error):
                stream.abort()
            raise
        stream.finish()

    def log_path(self, ref: str) -> str:
        return f"{self.path}/{name_of(ref)}.log"

    def read_log(self, ref: str, offset: int, limit: int) -> tuple[bytes, int]:
        """From `offset`, and how long it is in all. What the host has turned over is read as well."""
        self.pool.refresh(0)
        base = f"{name_of(ref)}.log"
        names = self.names()
        parts = [n for n in (*(f"{base}.{i}" for i in range(9, -1, -1)), base) if n in names]
        found, start = b"", 0
        for name in parts:
            volume = self.pool.storageVolLookupByName(name)
            size = int(volume.info()[1])
            first = max(offset - start, 0)
            if first < size and len(found) < limit:
                found += self._download(volume, first, min(size - first, limit - len(found)))
            start += size
        return found, start

    def _download(self, volume: Any, offset: int, length: int) -> bytes:
        stream = self._host.connection.newStream(0)
        volume.download(stream, offset, length)
        found = bytearray()
        while piece := stream.recv(1 << 16):
            found += piece
        stream.finish()
        return bytes(found)

    def leftovers(self, names: frozenset[str], ref: str) -> list[str]:
        """Volumes of one piece of work. The log is made by the host, which tells of it when the pool is read anew."""
        name = name_of(ref)
        return [n for n in names if n.startswith((f"{name}.qcow2", f"{name}.iso", f"{name}.log"))]

    def drop(self, name: str) -> None:
        known = self._host.libvirt
        try:
            self.pool.storageVolLookupByName(name).delete(0)
        except self._host.Error as error:
            if error.get_error_code() != known.VIR_ERR_NO_STORAGE_VOL:
                raise

    def drop_all(self, ref: str) -> None:
        self.refresh()
        for name in self.leftovers(self.names(), ref):
            self.drop(name)

    def refresh(self) -> None:
        self.pool.refresh(0)


class Image:
    """What a machine starts from: a file or a volume that the host has."""

    __slots__ = ("format", "path", "size")

    def __init__(self, path: str, kind: str, size: int) -> None:
        self.path, self.format, self.size = path, kind, size


def image_of(host: Host, word: str, pool: str) -> Image:
    """`word`: a path, a volume of `pool`, or POOL/VOLUME. Raises Rejected("NoSuchImage")."""
    connection = host.connection
    try:
        if word.startswith("/"):
            volume = connection.storageVolLookupByPath(word)
        else:
            where, _, name = word.rpartition("/")
            volume = connection.storagePoolLookupByName(where or pool).storageVolLookupByName(name)
        root = parsed(volume.XMLDesc())
    except host.Error as error:
        known = host.libvirt
        if error.get_error_code() in (known.VIR_ERR_NO_STORAGE_VOL, known.VIR_ERR_NO_STORAGE_POOL):
            raise Rejected("NoSuchImage", f"The host has no image {word} in a storage pool.") from None
        raise
    kind = root.find("target/format")
    return Image(
        root.findtext("target/path") or word,
        "raw" if kind is None else kind.get("type", "raw"),
        int(volume.info()[1]),
    )


def _pool_xml(name: str, path: str) -> str:
    root = ElementTree.Element("pool", type="dir")
    ElementTree.SubElement(root, "name").text = name
    target = ElementTree.SubElement(root, "target")
    ElementTree.SubElement(target, "path").text = path
    return ElementTree.tostring(root, encoding="unicode")


def _volume_xml(name: str, size: int, kind: str, base: Image | None = None) -> str:
    root = ElementTree.Element("volume")
    ElementTree.SubElement(root, "name").text = name
    ElementTree.SubElement(root, "capacity", unit="bytes").text = str(size)
    ElementTree.SubElement(root, "allocation", unit="bytes").text = "0"
    target = ElementTree.SubElement(root, "target")
    ElementTree.SubElement(target, "format", type=kind)
    if base is not None:
        store = ElementTree.SubElement(root, "backingStore")
        ElementTree.SubElement(store, "path").text = base.path
        ElementTree.SubElement(store, "format", type=base.format)
    return ElementTree.tostring(root, encoding="unicode")
