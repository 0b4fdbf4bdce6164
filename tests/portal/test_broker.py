"""The broker of files: nothing half-written is read, nothing is taken twice, and a wiped folder is no trouble."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

import portal.celery  # makes the transport known
from portal.broker import Channel

ROOT = Path(__file__).resolve().parents[2]


def connection(folder: Path) -> Any:
    options = {
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.01,
    }
    return Connection("files://localhost//", transport_options=options)


@contextmanager
def opened(folder: Path) -> Iterator[Channel]:
    with connection(folder) as made:
        yield made.channel()


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    with opened(tmp_path) as made:
        yield made


def message(task: str, body: str = "[]") -> dict[str, Any]:
    return {"headers": {"task": task}, "body": body}


def taken(channel: Channel, queue: str = "core") -> list[str]:
    found = []
    try:
        while True:
            found.append(channel._get(queue)["body"])
    except Empty:
        return found


def test_what_is_put_is_taken_once_and_in_order(channel: Channel) -> None:
    for n in range(20):
        channel._put("core", message("t", str(n)))
        os.utime(next(p for p in _files(channel) if p.stat().st_mtime_ns > 10**15), ns=(n, n))
    assert channel._size("core") == 20
    assert taken(channel) == [str(n) for n in range(20)]
    assert (channel._size("core"), taken(channel)) == (0, [])


def _files(channel: Channel) -> list[Path]:
    return list(channel._folder("core").glob("*.msg"))


def test_the_same_hint_is_held_once_and_again_when_it_was_taken(channel: Channel) -> None:
    for _ in range(5):
        channel._put("core", message("look", "[1]"))
    channel._put("core", message("look", "[2]"))
    channel._put("core", message("admit", "[1]"))
    channel._put("sites", message("look", "[1]"))
    assert sorted(taken(channel)) == ["[1]", "[1]", "[2]"]
    assert taken(channel, "sites") == ["[1]"]
    channel._put("core", message("look", "[1]"))
    assert taken(channel) == ["[1]"], "asked for anew after it was taken: a new look"


def test_a_file_appears_whole(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks in the middle of a write sees nothing yet."""
    seen: list[int] = []
    write = Path.write_text

    def slowly(self: Path, text: str, **more: Any) -> int:
        done = write(self, text[: len(text) // 2], **more)
        with opened(Path(channel.data_folder_in).parent) as other:
            seen.append(other._size("core"))
        return done + write(self, text, **more)

    monkeypatch.setattr(Path, "write_text", slowly)
    channel._put("core", message("look", "[1]"))
    assert seen == [0]
    assert taken(channel) == ["[1]"]


def test_a_file_that_cannot_be_read_is_dropped_and_said(channel: Channel, caplog: pytest.LogCaptureFixture) -> None:
    channel._put("core", message("look", "[1]"))
    for name, content in (("half", '{"body": "[2'), ("empty", ""), ("binary", "\xff\xfe")):
        (channel._folder("core") / f"{name}.msg").write_bytes(content.encode("latin-1"))
    with caplog.at_level(logging.WARNING, "portal.broker"):
        assert taken(channel) == ["[1]"]
    assert len(caplog.records) == 3
    assert os.listdir(channel._folder("core")) == []


def test_a_wiped_folder_is_no_trouble(channel: Channel, tmp_path: Path) -> None:
    for n in range(3):
        channel._put("core", message("look", str(n)))
    assert channel._get("core")["body"] in {"0", "1", "2"}
    shutil.rmtree(tmp_path / "queue")
    assert (taken(channel), channel._size("core"), channel._purge("core")) == ([], 0, 0)
    channel._put("core", message("look", "[9]"))
    assert taken(channel) == ["[9]"]


def test_files_of_others_are_left_alone(channel: Channel) -> None:
    channel._put("core", message("look", "[1]"))
    (channel._folder("core") / "README").write_text("not a message")
    (channel._folder("core") / ".hidden").write_text("being written")
    assert taken(channel) == ["[1]"]
    assert sorted(os.listdir(channel._folder("core"))) == [".hidden", "README"]


def test_purge_empties_a_queue(channel: Channel) -> None:
    for n in range(7):
        channel._put("core", message("look", str(n)))
    channel._put("sites", message("look", "1"))
    assert channel._purge("core") == 7
    assert (taken(channel), taken(channel, "sites")) == ([], ["1"])


def test_many_consumers_take_each_message_once(channel: Channel, tmp_path: Path) -> None:
    for n in range(300):
        channel._put("core", message("look", str(n)))

    def consume(_: int) -> list[str]:
        with opened(tmp_path) as own:
            return taken(own)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(consume, range(4)))
    assert sorted(body for part in found for body in part) == sorted(str(n) for n in range(300))


_CONSUMER = """
import sys
from pathlib import Path
from tests.portal.test_broker import opened, taken
with opened(Path(sys.argv[1])) as channel:
    print(*taken(channel))
"""


@pytest.mark.processes
def test_two_processes_take_each_message_once(channel: Channel, tmp_path: Path) -> None:
    for n in range(400):
        channel._put("core", message("look", str(n)))
    command = [sys.executable, "-c", _CONSUMER, str(tmp_path)]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = [process.communicate(timeout=60)[0].split() for process in both]
    assert sorted(found[0] + found[1], key=int) == [str(n) for n in range(400)]


def test_it_carries_celerys_own_messages(tmp_path: Path) -> None:
    """Through Celery: the queue of a task, and a body that arrives as it was sent."""
    with connection(tmp_path) as made:
        # A name of its own: kombu remembers for the whole process which queues it has bound.
        queue = made.SimpleQueue("carried")
        queue.put({"id": 1, "名": "值"})
        got = queue.get(timeout=5)
        assert got.payload == {"id": 1, "名": "值"}
        got.ack()
        queue.close()
    assert portal.celery.app.conf.task_acks_late is True
    assert portal.celery.app.conf.accept_content == ["json"]
    text = json.dumps(portal.celery.app.conf.beat_schedule, default=str)
    assert "sweep_outbox" in text
