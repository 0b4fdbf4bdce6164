"""Small files that are either whole or not there, also after a power cut; and folders that go in one step."""

import contextlib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Replace `path` in one step. Raises OSError and leaves the old file as it was."""
    draft = _draft(path, value)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def claim_json(path: Path, value: Any) -> bool:
    """Create `path` in one step, whole; False if somebody else has it already."""
    draft = _draft(path, value)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def _draft(path: Path, value: Any) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    data = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def padded_json(value: Any, size: int) -> bytes:
    """JSON of exactly `size` bytes, to be written over room that was set aside; a long message is cut."""
    data = json.dumps(value).encode()
    if len(data) > size:
        data = json.dumps(value | {"message": ""}).encode()
    return data.ljust(size)


def read_json(path: Path) -> dict[str, Any] | None:
    """None if it is not there, or is not a JSON object (which we never write)."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def sync_folder(path: Path) -> None:
    """Make creations and renames in this folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(folder: Path, trash: Path) -> None:
    """Take it out of sight in one step; what is in it is deleted meanwhile, however much that is."""
    trash.mkdir(mode=0o700, exist_ok=True)
    number = 0
    while (place := trash / f"{folder.name}.{number}").exists():
        number += 1
    folder.rename(place)
    sync_folder(folder.parent)
    threading.Thread(target=delete, args=(place,), name="delete", daemon=True).start()


def delete(folder: Path) -> None:
    """Delete all of it, closed folders too; what will not go is tried again at the agent's next start."""
    for path, names, _ in os.walk(folder):
        for inner in (os.path.join(path, name) for name in names):
            with contextlib.suppress(OSError):
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
