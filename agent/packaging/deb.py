"""A Debian package without Debian's tools: an `ar` of two tars.

With the same zlib the same content gives the same bytes.
"""

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = HERE / "debian"
_TIME = 1735689600  # 2025-01-01: dpkg complains of files from before 1975
_CONTROL = """Package: aquifer-agent
Version: {version}
Section: admin
Priority: optional
Architecture: all
Maintainer: Aquifer <aquifer@example.org>
Installed-Size: {size}
Depends: python3 (>= 3.11), adduser, init-system-helpers (>= 1.54~)
Recommends: ca-certificates
Suggests: openssl
Homepage: https://example.org/aquifer
Description: makes this machine a site of an Aquifer federation
 The agent dials out to a hub, reports what accelerators the machine has, and
 runs the work that the hub orders as ordinary processes. It listens nowhere.
 .
 After installation it waits until it is enrolled: see aquifer-agent(8).
"""


@dataclass(frozen=True, slots=True)
class Entry:
    name: str  # without a leading slash
    data: bytes
    mode: int = 0o644
    is_folder: bool = False


def build_deb(out: Path, pyz: Path, version: str) -> Path:
    content = _content(pyz, version)
    size = sum(len(entry.data) for entry in content) // 1024 + 1
    sums = "".join(f"{hashlib.md5(e.data).hexdigest()}  {e.name}\n" for e in content if not e.is_folder)  # noqa: S324 - dpkg's format
    control = [
        Entry("control", _CONTROL.format(version=version, size=size).encode()),
        Entry("conffiles", b"/etc/aquifer-agent/agent.conf\n/etc/aquifer-agent/release-keys\n"),
        Entry("md5sums", sums.encode()),
        *(Entry(name, (PARTS / name).read_bytes(), 0o755) for name in ("postinst", "prerm", "postrm")),
    ]
    members = {"debian-binary": b"2.0\n", "control.tar.gz": _tar(control), "data.tar.gz": _tar(content)}
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "wb") as archive:
        archive.write(b"!<arch>\n")
        for name, data in members.items():
            archive.write(f"{name:<16}{_TIME:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode("ascii"))
            archive.write(data + b"\n" * (len(data) % 2))
    return out


def _content(pyz: Path, version: str) -> list[Entry]:
    """What the package puts on the machine, folders before what is in them."""
    doc, lib = "usr/share/doc/aquifer-agent", "usr/lib/aquifer-agent"
    changes = (PARTS / "changelog").read_text(encoding="utf-8").format(version=version)
    files = {
        f"{lib}/aquifer-agent.pyz": Entry("", pyz.read_bytes()),
        "usr/bin/aquifer-agent": Entry("", (PARTS / "aquifer-agent").read_bytes(), 0o755),
        "usr/lib/systemd/system/aquifer-agent.service": Entry("", (PARTS / "aquifer-agent.service").read_bytes()),
        "etc/aquifer-agent/agent.conf": Entry("", (PARTS / "agent.conf").read_bytes()),
        "etc/aquifer-agent/release-keys": Entry("", (PARTS / "release-keys").read_bytes()),
        "usr/share/man/man8/aquifer-agent.8.gz": Entry("", _gzip((PARTS / "aquifer-agent.8").read_bytes())),
        f"{doc}/copyright": Entry("", (PARTS / "copyright").read_bytes()),
        f"{doc}/changelog.gz": Entry("", _gzip(changes.encode())),
    }
    folders = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    entries = {name: Entry(name, b"", 0o755, True) for name in folders}
    entries |= {name: Entry(name, entry.data, entry.mode) for name, entry in files.items()}
    return [entries[name] for name in sorted(entries)]


def _tar(entries: list[Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry in [Entry("", b"", 0o755, True), *entries]:
            info = tarfile.TarInfo(f"./{entry.name}")
            info.mtime, info.mode, info.size = _TIME, entry.mode, len(entry.data)
            info.uname = info.gname = "root"
            info.type = tarfile.DIRTYPE if entry.is_folder else tarfile.REGTYPE
            tar.addfile(info, None if entry.is_folder else io.BytesIO(entry.data))
    return _gzip(buffer.getvalue())


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)
