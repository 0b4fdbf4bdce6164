"""The driver library of our own, compiled once, and the file that says what its cards do."""

import fcntl
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parent / "nvml" / "stub.c"
LIBRARY = "libnvidia-ml.so.1"


def compiled(folder: Path) -> Path:
    """The folder to put into LD_LIBRARY_PATH. Without a C compiler the test is skipped."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the NVML stub cannot be built (install gcc)")
    if not (folder / LIBRARY).exists():
        folder.mkdir(parents=True, exist_ok=True)
        words = [compiler, "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([*words, "-o", str(folder / LIBRARY), str(SOURCE)], check=True)
    return folder


class Cards:
    """The state file of one machine's cards."""

    def __init__(self, file: Path, library: Path, count: int = 2, *, mig: int | None = 0) -> None:
        self.file, self.library = file, library
        lines = {"cards": str(count)}
        for card in range(count):
            lines |= {
                f"card.{card}.uuid": f"GPU-{card}", f"card.{card}.name": "NVIDIA A100-SXM4-80GB",
                f"card.{card}.busy": "37", f"card.{card}.milliwatts": "251500", f"card.{card}.celsius": "61",
                f"card.{card}.used_mib": "1024", f"card.{card}.bus": f"00000000:0{card + 1}:00.0",
            }  # fmt: skip
            if mig is not None:
                lines[f"card.{card}.mig"] = str(mig)
        self._write(lines)

    @property
    def variables(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(self.library), "AQUIFER_NVML_STATE": str(self.file)}

    def lines(self) -> dict[str, str]:
        with open(self.file) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return dict(line.split("=", 1) for line in file.read().splitlines())

    def set(self, changes: Mapping[str, Any]) -> None:
        """None takes a line away."""
        with open(self.file, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = dict(line.split("=", 1) for line in file.read().splitlines())
            lines |= {key: str(value) for key, value in changes.items() if value is not None}
            for key in [key for key, value in changes.items() if value is None]:
                lines.pop(key, None)
            file.seek(0)
            file.write("".join(f"{key}={value}\n" for key, value in lines.items()))
            file.truncate()

    def instances(self, card: int) -> list[str]:
        """Profile and compute instance of each GPU instance, by id."""
        return [value for key, value in sorted(self.lines().items()) if key.startswith(f"gi.{card}.")]

    def _write(self, lines: Mapping[str, str]) -> None:
        self.file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
