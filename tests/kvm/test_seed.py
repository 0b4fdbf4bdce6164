"""What cloud-init is told, and that values survive the way to the child process and back."""

import io
import json
import shlex
import subprocess
from datetime import UTC, datetime
from email import message_from_string
from typing import Any

import pytest

from federation.drivers.abilities import EventSeen, LogChunk, Screen
from federation.drivers.base import (
    Boot,
    DeviceGrant,
    DeviceSeen,
    NodeSeen,
    Observation,
    ObservedState,
    UsageSample,
    WorkloadSpec,
)  # fmt: skip
from federation.drivers.kvm import seed, wire
from tests.contracts.harness import spec

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE somebody@example"


def config(text: str) -> dict[str, Any]:
    head, _, rest = text.partition("\n")
    assert head == "#cloud-config"
    found: dict[str, Any] = json.loads(rest)
    return found


def test_who_may_enter_and_what_it_is_called() -> None:
    files = seed.files_of(spec(name="My Job!", command=(), boot=Boot(ssh_keys=(KEY,))), "aquifer-1")
    assert config(files["user-data"]) == {
        "hostname": "my-job", "preserve_hostname": False, "ssh_authorized_keys": [KEY],
    }  # fmt: skip
    assert json.loads(files["meta-data"]) == {"instance-id": "aquifer-1", "local-hostname": "my-job"}


@pytest.mark.parametrize("kind", ["batch", "vm"])
def test_a_command_is_run_as_it_was_said(kind: str, tmp_path: Any) -> None:
    wanted = ("sh", "-c", "echo \"$A\"; echo '$B' >&2; exit 3")
    job = seed.job_of(spec(kind=kind, command=wanted, env={"A": 'it\'s "quoted" $HOME', "B": "x"}))
    out = tmp_path / "ttyS0"
    script = (
        job.replace("/dev/ttyS0", str(out)).replace(f">{out} 2>&1", f">>{out} 2>&1").replace(f'" >{out}', f'" >>{out}')
    )
    subprocess.run(["sh", "-c", script.replace("poweroff", f"echo off >>{shlex.quote(str(out))}")], check=True)
    said = out.read_text().splitlines()
    assert said[:3] == ['it\'s "quoted" $HOME', "$B", f"{seed.DONE} 3"]
    assert ("off" in said) == (kind == "batch")


def test_words_of_the_users_own_come_beside_ours() -> None:
    own = "#cloud-config\npackages: [htop]\n"
    text = seed.files_of(spec(command=("true",), boot=Boot(ssh_keys=(KEY,), user_data=own)), "i")["user-data"]
    ours, theirs = (part for part in message_from_string(text).walk() if not part.is_multipart())
    assert config(str(ours.get_payload()).strip() + "\n")["ssh_authorized_keys"] == [KEY]
    assert str(theirs.get_payload()).strip() == own.strip()
    assert {part.get_content_type() for part in (ours, theirs)} == {"text/cloud-config"}


def test_the_image_has_the_files_and_the_label(libvirt_library: Any) -> None:
    import pycdlib

    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(seed.image_of({"user-data": "one\n", "meta-data": "two\n"})))
    assert image.pvd.volume_identifier.decode().strip() == "cidata"
    for name, text in (("user-data", "one\n"), ("meta-data", "two\n")):
        for way in ("rr_path", "joliet_path"):
            out = io.BytesIO()
            image.get_file_from_iso_fp(out, **{way: f"/{name}"})
            assert out.getvalue().decode() == text
    image.close()


VALUES: list[tuple[Any, Any]] = [
    (WorkloadSpec, spec(boot=Boot(ssh_keys=(KEY,)), env={"a": "b"}, max_seconds=5, run_seconds=2.5)),
    (Observation, Observation("r", ObservedState.RUNNING, 1, 2, 3.5, None, "Suspended", "参考")),
    (list[NodeSeen], [NodeSeen("n", 1000, 5, (DeviceSeen(0, "u", "nvidia", "T4", 1),), labels={"a": "b"})]),
    (Screen | None, None),
    (Screen | None, Screen("vnc", "h", 5900, "p")),
    (list[UsageSample], [UsageSample(datetime(2027, 1, 1, tzinfo=UTC), ref="r", busy_percent=None, cpu_milli=5)]),
    (list[EventSeen], [EventSeen(datetime(2027, 1, 1, 1, 2, 3, 4, tzinfo=UTC), "A", "b")]),
    (LogChunk, LogChunk("秒", 3, True)),
    (DeviceGrant, DeviceGrant(0, "u", 1000, 5)),
    (tuple[str, ...], ("a", "b")),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=str)
def test_values_survive_the_way_there_and_back(kind: Any, value: Any) -> None:
    said = wire.packed([value])
    assert wire.length_of(said[: wire.HEAD_BYTES]) == len(said) - wire.HEAD_BYTES
    assert wire.built(kind, json.loads(said[wire.HEAD_BYTES :])[0]) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Observation, {"ref": "r", "state": "asleep"}),
        (Observation, {"ref": 5, "state": "running"}),
        (str, 5),
        (int, "5"),
    ],
)
def test_what_is_of_another_kind_is_no_value(kind: Any, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        wire.built(kind, value)


def test_a_message_that_is_never_sent_is_not_waited_for() -> None:
    with pytest.raises(ValueError):
        wire.length_of(b"\xff\xff\xff\xff")
