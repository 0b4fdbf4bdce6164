"""Recorded outputs of vendors' tools, and scripts that play such a tool."""

import json
import stat
from pathlib import Path
from typing import Any

OUTPUTS = Path(__file__).resolve().parent / "outputs"


def output_of(name: str) -> str:
    """Without the lines that name its source."""
    lines = (OUTPUTS / name).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("# "))


def json_of(name: str) -> Any:
    return json.loads(output_of(name))


def tool(folder: Path, name: str, script: str) -> Path:
    """A program that is run in the place of a vendor's."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
