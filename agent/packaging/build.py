"""`python agent/packaging/build.py --out dist`: the agent as one file, and as a Debian package around that file.

Needs Python alone. The same sources give the same bytes, on any machine and day: entries are sorted, times are fixed,
and the archive is not compressed, since libraries differ in how they compress.
"""

import argparse
import hashlib
import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "aquifer_agent"
TOP = HERE.parent.parent
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = b"import sys\n\nfrom aquifer_agent.cli import main\n\nsys.exit(main())\n"


def version() -> str:
    found = re.search(r'^VERSION = "([^"]+)"$', (SOURCES / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, "aquifer_agent/__init__.py names no version"
    return found.group(1)


def build_pyz(out: Path, sources: Path = SOURCES) -> Path:
    """One file that runs with nothing but Python 3.11."""
    entries = {f"aquifer_agent/{file.relative_to(sources).as_posix()}": file.read_bytes() for file in _files(sources)}
    entries["__main__.py"] = _MAIN
    entries["LICENSE"] = (TOP / "LICENSE").read_bytes()
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "wb") as target:
        target.write(_SHEBANG)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for name, data in sorted(entries.items()):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = 0o100644 << 16
                entry.create_system = 3
                archive.writestr(entry, data)
    out.chmod(0o755)
    return out


def _files(sources: Path) -> list[Path]:
    return sorted(file for file in sources.rglob("*") if file.is_file() and file.suffix in (".py", ".typed"))


def main(argv: list[str] | None = None) -> int:
    sys.path.insert(0, str(HERE))
    from deb import build_deb

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="(dist)")
    options = parser.parse_args(argv)
    pyz = build_pyz(options.out / "aquifer-agent.pyz")
    deb = build_deb(options.out / f"aquifer-agent_{version()}_all.deb", pyz, version())
    for file in (pyz, deb):
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
