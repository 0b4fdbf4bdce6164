"""Releases of the agent made for a test, signed by a key that is made for it."""

import base64
import hashlib
import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aquifer_agent.updates import manifest as m
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

AGENT = Path(__file__).resolve().parent.parent
sys.path.append(str(AGENT / "packaging"))


class Operator:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = Ed25519PrivateKey.generate()
        self.keys_file = folder / "keys"
        self.keys_file.write_text(m.key_line(self.public, "of the test") + "\n")

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def release(self, version: str, **changes: tuple[str, str]) -> bytes:
        """The agent as it is here, with another version; `changes` replaces one text by another in a module."""
        from build import build_pyz

        sources = self.folder / f"sources-{version}" / "aquifer_agent"
        shutil.copytree(AGENT / "aquifer_agent", sources, ignore=shutil.ignore_patterns("__pycache__"))
        for module, (old, new) in {"__init__": (_present(), f'VERSION = "{version}"'), **changes}.items():
            file = sources / f"{module.replace('.', '/')}.py"
            text = file.read_text()
            assert old in text
            file.write_text(text.replace(old, new))
        data = build_pyz(self.folder / f"{version}.pyz", sources).read_bytes()
        shutil.rmtree(sources.parent)
        return data

    def manifest(self, data: bytes, version: str = "9.0.0", serial: int = 1, **other: Any) -> str:
        now = datetime.now(UTC)
        said = {
            "format": m.FORMAT, "version": version, "minimum_version": "0.0.1", "serial": serial, "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(), "not_before": (now - timedelta(hours=1)).isoformat(),
            "expires": (now + timedelta(hours=1)).isoformat(),
        }  # fmt: skip
        return json.dumps(said | other)

    def sign(self, text: str) -> str:
        return base64.b64encode(self.key.sign(text.encode())).decode()

    def offer(self, data: bytes, version: str = "9.0.0", serial: int = 1, **other: Any) -> dict[str, Any]:
        text = self.manifest(data, version, serial, **other)
        path = f"/api/v1/agent-releases/{serial}"
        return {"serial": serial, "version": version, "path": path, "manifest": text, "signature": self.sign(text)}


def _present() -> str:
    from aquifer_agent import VERSION

    return f'VERSION = "{VERSION}"'
