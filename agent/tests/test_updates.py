"""A release from the hub's offer to the process that runs, with real processes; and each way in which it does not."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agentsite import Site, wait_for
from aquifer_agent import crash, files
from aquifer_agent.updates import releases
from crashpoints import at_each_point
from fakehub import FakeHub
from releasing import Operator

NEW = "9.0.0"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def newer(operator: Operator) -> bytes:
    return operator.release(NEW)


@pytest.fixture
def start(site: Site, operator: Operator) -> Callable[..., "subprocess.Popen[bytes]"]:
    return lambda **variables: site.start("--release-keys", str(operator.keys_file), **variables)


def offer(hub: FakeHub, operator: Operator, data: bytes, *, sent: bytes | None = None, **more: Any) -> None:
    hub.release = data if sent is None else sent
    hub.update = operator.offer(data, **more)


def said(hub: FakeHub) -> dict[str, Any]:
    """What the agent last said of itself."""
    return dict(hub.reports[-1]["agent"]) if hub.reports else {}


def wait_said(hub: FakeHub, state: str, reason: str = "", version: str = "") -> dict[str, Any]:
    def found() -> bool:
        update = said(hub).get("release") or {}
        is_version = not version or said(hub).get("version") == version
        return is_version and (update.get("state"), update.get("reason")) == (state, reason)

    hub.wait(found, 30)
    return said(hub)


def kept(site: Site) -> dict[str, Any]:
    return files.read_json(site.state_dir / releases.FOLDER / releases.STATE) or {}


def test_a_release_is_fetched_in_pieces_and_put_in_force_while_work_goes_on(
    hub: FakeHub, site: Site, operator: Operator, newer: bytes, start: Callable[..., Any], tmp_path: Path
) -> None:
    ran, go = tmp_path / "ran", tmp_path / "go"
    hub.want("job", "sh", "-c", f"echo $$ >> {ran}; until [ -e {go} ]; do sleep 0.05; done; echo done")
    agent = start()
    hub.wait_state("job", "running")
    old_version = said(hub)["version"]
    hub.most_bytes = 100_000
    offer(hub, operator, newer)
    assert wait_said(hub, "done", version=NEW)["release"]["serial"] == 1
    assert agent.poll() is None, "the process is the same; only what it runs is another"
    assert len(hub.fetched) > 2 and hub.fetched[1][0] == 100_000
    assert (hub.work("job") or {})["state"] == "running"
    go.touch()
    assert hub.wait_state("job", "succeeded")["exit_code"] == 0
    assert len(ran.read_text().split()) == 1
    hub.want("next", "sh", "-c", "echo by the new one")
    hub.wait_state("next", "succeeded")
    # It stays, also after a crash; and the same offer is not taken again.
    fetched = len(hub.fetched)
    site.kill()
    start()
    hub.wait_reports(3)
    assert (said(hub)["version"], len(hub.fetched)) == (NEW, fetched)
    assert old_version != NEW
    names = sorted(file.name for file in (site.state_dir / releases.FOLDER).iterdir())
    assert names == [f"{kept(site)['active']['sha256']}.pyz", releases.STATE]


@pytest.mark.parametrize(
    ("reason", "how"),
    [
        ("BadSignature", lambda hub, op, new: hub.update.update(signature=op.sign("something else"))),
        ("WrongHash", lambda hub, op, new: setattr(hub, "release", new[:-1] + b"!")),
        ("Downgrade", lambda hub, op, new: setattr(hub, "update", op.offer(new, "0.0.1"))),
        ("TooFarBehind", lambda hub, op, new: setattr(hub, "update", op.offer(new, minimum_version="8.0.0"))),
        ("Expired", lambda hub, op, new: setattr(hub, "update", op.offer(new, expires="2026-01-01T00:00:00Z"))),
        ("WrongVersion", lambda hub, op, new: setattr(hub, "update", op.offer(new, "9.0.1"))),
        ("DoesNotStart", lambda hub, op, new: offer(hub, op, b"PK no zip at all")),
    ],
)  # fmt: skip
def test_what_must_not_be_taken_is_refused_in_words(
    hub: FakeHub, operator: Operator, newer: bytes, start: Callable[..., Any], reason: str, how: Any
) -> None:
    offer(hub, operator, newer)
    how(hub, operator, newer)
    agent = start()
    update = wait_said(hub, "refused", reason)["release"]
    assert update["message"].endswith((".", ")")) or reason == "DoesNotStart"
    fetched = len(hub.fetched)
    hub.wait_reports(5)
    assert (len(hub.fetched), agent.poll()) == (fetched, None), "it is not tried again and again"
    hub.update = None
    hub.wait(lambda: said(hub)["release"] is None)


def test_an_agent_without_a_key_takes_nothing(hub: FakeHub, site: Site, operator: Operator, newer: bytes) -> None:
    offer(hub, operator, newer)
    site.start()
    wait_said(hub, "refused", "NoReleaseKey")
    assert hub.fetched == []


def test_what_ends_early_is_fetched_from_where_it_ended(
    hub: FakeHub, site: Site, operator: Operator, newer: bytes, start: Callable[..., Any]
) -> None:
    offer(hub, operator, newer, sent=newer[:150_000])
    start()
    wait_said(hub, "downloading", "DownloadFailed")
    site.kill()
    hub.release = newer
    hub.fetched.clear()
    start()
    wait_said(hub, "done", version=NEW)
    assert hub.fetched[0][0] == 150_000


def test_an_offer_that_is_taken_back_is_not_followed(
    hub: FakeHub, operator: Operator, newer: bytes, start: Callable[..., Any]
) -> None:
    offer(hub, operator, newer, sent=b"")
    start()
    wait_said(hub, "downloading", "DownloadFailed")
    hub.update, hub.release = None, newer
    hub.wait_reports(15)
    assert said(hub)["release"] is None and said(hub)["version"] != NEW


@pytest.mark.parametrize(
    ("reason", "module", "old", "new"),
    [
        ("NeverAnswered", "conversation", '"/api/v1/agent/sync"', '"/api/v1/agent/nowhere"'),
        ("DidNotStart", "agent", "        self._heed_signals()", '        raise SystemExit("broken")'),
        ("DidNotStart", "agent", "        self._heed_signals()", "        time.sleep(600)"),
    ],
    ids=["deaf", "dies", "hangs"],
)
def test_a_release_that_does_no_good_is_taken_back_and_told(
    hub: FakeHub, site: Site, operator: Operator, start: Callable[..., Any], reason: str, module: str, old: str,
    new: str,
) -> None:  # fmt: skip
    bad = operator.release("9.5.0", **{module: (old, new)})
    hub.want("job", "sleep", "600")
    trial = {releases.TRIAL_VARIABLE: "3"}
    start(**trial)
    hub.wait_state("job", "running")
    offer(hub, operator, bad, version="9.5.0")
    until = time.monotonic() + 40
    while (said(hub).get("release") or {}).get("state") != "failed":
        assert time.monotonic() < until, site.log()
        if site.agents[-1].poll() is not None:
            start(**trial)  # what systemd does
        time.sleep(0.1)
    update = said(hub)["release"]
    assert (update["reason"], update["version"]) == (reason, "9.5.0")
    assert said(hub)["version"] != "9.5.0"
    assert (hub.work("job") or {})["state"] == "running"
    # The same release is not tried again; what is signed anew is.
    fetched = len(hub.fetched)
    hub.wait_reports(5)
    assert len(hub.fetched) == fetched
    good = operator.release("9.6.0")
    offer(hub, operator, good, version="9.6.0", serial=2)
    wait_said(hub, "done", version="9.6.0")


def test_a_damaged_release_gives_way_to_the_installed_one(
    hub: FakeHub, site: Site, operator: Operator, newer: bytes, start: Callable[..., Any]
) -> None:
    offer(hub, operator, newer)
    start()
    wait_said(hub, "done", version=NEW)
    site.kill()
    file = site.state_dir / releases.FOLDER / f"{kept(site)['active']['sha256']}.pyz"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    hub.update = None
    start()
    hub.wait_reports(2)
    assert said(hub)["version"] != NEW
    assert "is damaged" in site.log()


@pytest.mark.processes
def test_no_crash_on_the_way_loses_the_work_or_the_agent(tmp_path: Path, operator: Operator, newer: bytes) -> None:
    points = (*crash.UPDATE_POINTS, *crash.TAKE_BACK_POINTS)
    deaf = operator.release("9.7.0", conversation=('"/api/v1/agent/sync"', '"/api/v1/agent/nowhere"'))
    at_each_point(points, lambda point: _crash_once(tmp_path / point, point, operator, newer, deaf), few=3)


def _crash_once(place: Path, point: str, operator: Operator, newer: bytes, deaf: bytes) -> None:
    place.mkdir()
    hub = FakeHub()
    site = Site(hub, place / "state")
    ran, crashed = place / "ran", place / "crashed"
    variables = {crash.VARIABLE: point, crash.ONCE: str(crashed), releases.TRIAL_VARIABLE: "10"}
    is_bad = point in crash.TAKE_BACK_POINTS
    if is_bad:
        variables[releases.TRIAL_VARIABLE] = "1"
    words = ("--release-keys", str(operator.keys_file))
    try:
        hub.want("job", "sh", "-c", f"echo $$ >> {ran}; exec sleep 600")
        site.start(*words, **variables)
        hub.wait_state("job", "running")
        offer(hub, operator, deaf if is_bad else newer, version="9.7.0" if is_bad else NEW)

        def is_over() -> bool:
            if site.agents[-1].poll() is not None:
                # By its own hand at the point; or, on a machine that is slow to start it, by the clock of its trial.
                assert site.agents[-1].returncode in {137, *({-signal.SIGALRM} if is_bad else ())}, site.log()
                site.start(*words, **variables)
            update = said(hub).get("release") or {}
            return update.get("state") == ("failed" if is_bad else "done")

        wait_for(is_over, 40)
        assert crashed.exists(), "the point was never reached"
        assert (said(hub)["version"] == NEW) is not is_bad
        assert len(ran.read_text().split()) == 1
        assert (hub.work("job") or {})["state"] == "running"
    finally:
        site.close()
        hub.stop()
