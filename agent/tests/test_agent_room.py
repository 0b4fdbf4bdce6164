"""Output on the disk stays within its bound, and what is dropped is said in its place."""

import os
from pathlib import Path

import pytest
from agentsite import Site, wait_for
from aquifer_agent import files, folder, room
from aquifer_agent.logs import LogShipper
from aquifer_agent.run import Run
from fakehub import FakeHub

MIB = 1024 * 1024


def _run(place: Path, ref: str, size: int, ended_at: float | None = None) -> Run:
    (place / ref).mkdir(parents=True)
    files.write_json(place / ref / folder.SPEC, {"ref": ref, "spec": {"command": ["true"]}})
    with open(place / ref / folder.LOG, "wb") as log:
        log.write((f"{ref} said this.\n".encode() * (size // 10))[:size])
        os.fsync(log.fileno())
    if ended_at is not None:
        files.write_json(place / ref / folder.EXIT, folder.exit_record(0, 1.0))
        os.utime(place / ref / folder.EXIT, (ended_at, ended_at))
    return Run(place / ref)


def _used(run: Run) -> int:
    return (run.folder / folder.LOG).stat().st_blocks * 512


def test_what_the_hub_has_goes_first_then_the_oldest_end_then_the_largest(tmp_path: Path) -> None:
    sent, old, young, busy = (
        _run(tmp_path, "sent", 4 * MIB),
        _run(tmp_path, "old", 2 * MIB, 100.0),
        _run(tmp_path, "young", 2 * MIB, 200.0),
        _run(tmp_path, "busy", 3 * MIB),
    )
    runs = [young, busy, old, sent]
    has = {"sent": 4 * MIB}

    def keep(mib: float) -> int:
        return room.Room(int(mib * MIB)).keep(runs, lambda ref: has.get(ref, 0))

    assert keep(20) == sum(map(_used, runs)), "there is room: nothing is touched"
    assert keep(10) <= 8 * MIB and _used(sent) < MIB
    assert [room.dropped(run.folder) for run in (old, young, busy)] == [[], [], []]
    assert keep(6.5) <= 6.5 * MIB
    assert (_used(old) < MIB, _used(young), _used(busy)) == (True, 2 * MIB, 3 * MIB)
    assert keep(4) <= 4 * MIB and _used(young) < MIB and _used(busy) == 3 * MIB
    assert keep(1) <= MIB and _used(busy) < MIB
    for run in runs:
        size = 4 if run is sent else 3 if run is busy else 2
        assert folder.log_size(run.folder) == size * MIB, "offsets stay what they were"
        assert room.dropped(run.folder) == [(0, size * MIB)]


def test_a_file_system_without_holes_loses_the_output_of_ended_work_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(room, "_punch", no)
    ended, busy = _run(tmp_path, "ended", 2 * MIB, 1.0), _run(tmp_path, "busy", 2 * MIB)
    room.Room(MIB).keep([busy, ended], lambda ref: 1000)
    assert _used(ended) < MIB and folder.log_size(ended.folder) == 2 * MIB
    assert (ended.folder / folder.LOG).read_bytes()[:9] == b"ended sai", "what the hub has is left, too"
    assert _used(busy) == 2 * MIB


def test_words_stand_in_the_place_of_what_is_gone(tmp_path: Path) -> None:
    run = _run(tmp_path, "job", 3 * MIB, 1.0)
    log = run.folder / folder.LOG
    data = bytearray(log.read_bytes())
    data[9_998:10_001] = "漢".encode()  # the gap begins inside of a character
    log.write_bytes(data)
    files.write_json(run.folder / room.DROPPED, {"ranges": [[10_000, 10_000 + 2 * MIB]]})
    shipper, at, said = LogShipper(), 0, ""
    for turn in range(100):
        shipper.take_offsets({"job": at})
        pieces = shipper.pieces([run])
        if turn % 2:  # the answer to every other report is lost: it is sent again, in the same words
            assert [p["text"] for p in pieces[:1] if "size" not in p] == [
                p["text"] for p in shipper.pieces([run])[:1] if "size" not in p
            ]
        for piece in pieces:
            assert piece["offset"] == at
            said += piece["text"]
            at += piece.get("size") or len(piece["text"].encode())
        if not pieces:
            break
    assert at == 3 * MIB
    before, _, after = said.partition(room.words(2 * MIB))
    assert len(before.encode()) == 10_000 and before.endswith("??")
    assert len(after.encode()) == MIB - 10_000
    assert after.encode() == bytes(data[10_000 + 2 * MIB :])


def test_output_made_while_the_hub_is_away_arrives_later_within_the_bound(
    hub: FakeHub, site: Site, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    code = f"until [ -e {go} ]; do sleep 0.05; done; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last words"
    for ref in ("one", "two"):
        hub.want(ref, "sh", "-c", f"echo begin; {code}")
    hub.want("small", "sh", "-c", f"until [ -e {go} ]; do sleep 0.05; done; sleep 1; echo small but mine")
    site.start("--most-output-mib", "2")
    for ref in ("one", "two", "small"):
        hub.wait_state(ref, "running")
    hub.wait(lambda: all(hub.logs.get(ref) == "begin\n" for ref in ("one", "two")))
    hub.stop()
    go.touch()
    logs = [site.folder(ref) / folder.LOG for ref in ("one", "two")]
    wait_for(lambda: sum(log.stat().st_blocks * 512 for log in logs) <= 2 * MIB and _all_ended(site), 30)
    hub.start_again()
    for ref in ("one", "two", "small"):
        hub.wait_state(ref, "succeeded", seconds=30)
    hub.wait(lambda: all(hub.offsets[ref] == (hub.work(ref) or {})["log_bytes"] for ref in hub.orders), 30)
    assert hub.logs["small"] == "small but mine\n"
    gaps = [ref for ref in ("one", "two") if "were dropped here" in hub.logs[ref]]
    assert gaps
    for ref in gaps:
        assert hub.logs[ref].startswith("begin\n") and len(hub.logs[ref]) < 3_000_000


def _all_ended(site: Site) -> bool:
    return all((site.folder(ref) / folder.EXIT).exists() for ref in ("one", "two", "small"))
