"""The agent and a hub that is slow, forgetful, away, or not to be trusted."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agentsite import Site
from aquifer_agent import conversation
from aquifer_agent import hub as hubs
from aquifer_agent.hub import Address, BadAddress, HubError
from fakehub import AGENT_TOKEN, JOIN_TOKEN, FakeHub, problem


def test_enrolment_keeps_an_identity_that_only_its_owner_reads(hub: FakeHub, site: Site, tmp_path: Path) -> None:
    refused = site.enrol(token="used before")
    assert refused.returncode == 1 and "401" in refused.stderr
    assert not (site.state_dir / "identity.json").exists()

    (tmp_path / "token").write_text(JOIN_TOKEN + "\n")
    hub.epoch = 3
    words = ("--join-token-file", str(tmp_path / "token"), "--state-dir", str(site.state_dir), "--name", "rack-7")
    done = site.call("enrol", "--hub", hub.url, *words)
    assert done.returncode == 0 and JOIN_TOKEN not in done.stdout + done.stderr
    kept = site.state_dir / "identity.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["agent_token"] == AGENT_TOKEN
    assert {"join_token", "machine_id", "hostname", "agent_version"} == set(hub.enrolments[-1])

    again = site.enrol(token="used before")
    assert again.returncode == 0 and "Already enrolled" in again.stdout
    elsewhere = site.call("enrol", "--hub", "https://other.example.org", *words)
    assert elsewhere.returncode == 2 and "Already enrolled" in elsewhere.stderr

    site.start()
    hub.wait_reports(2)
    first, second = hub.reports[:2]
    assert first["inventory"]["name"] == "rack-7"
    assert first["inventory"]["cpu_milli"] >= 1000 and first["inventory"]["memory_mib"] > 100
    assert first["inventory"]["is_ready"] is True
    assert first["inventory"]["labels"]["aquifer.io/limits"] in ("cgroup2", "cgroup1", "rlimit")
    assert (first["seq"], first["epoch"], second["seq"]) == (1, 3, 2)
    assert second["inventory"] is None
    hub.want_inventory = True
    hub.wait(lambda: hub.reports[-1]["inventory"] == first["inventory"])


def test_a_token_that_is_not_known_ends_the_agent_in_clear_words(hub: FakeHub, site: Site) -> None:
    hub.want("job", "sleep", "600")
    running = site.start("--on-exit", "stop")
    hub.wait_state("job", "running")
    hub.revoked = True
    assert running.wait(20) == 3
    assert "does not know this agent" in site.log() and AGENT_TOKEN not in site.log()
    assert site.pid("job")  # whoever revoked the agent did not order the work's end


def test_lost_and_repeated_answers_change_nothing(hub: FakeHub, site: Site, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    hub.next_answers = ["lose", "fine"]
    hub.want("job", "sh", "-c", f"echo $$ >> {ran}; echo said; sleep 600", grace_seconds=0)
    site.start()
    hub.wait_state("job", "running")
    hub.next_answers = ["lose", "fine", "garbage", "fine", "lose"]
    hub.wait(lambda: not hub.next_answers)
    hub.wait_reports(3)
    assert len(ran.read_text().split()) == 1
    assert hub.logs["job"] == "said\n"
    numbers = [report["seq"] for report in hub.reports]
    assert numbers == sorted(set(numbers))
    hub.want_absent("job")
    hub.next_answers = ["lose"]
    hub.wait_gone("job")
    assert site.leftovers() == []


def test_a_hub_that_goes_and_comes_back_finds_the_work_done(hub: FakeHub, site: Site, tmp_path: Path) -> None:
    go = tmp_path / "go"
    hub.want("job", "sh", "-c", f"until [ -e {go} ]; do sleep 0.02; done; echo late")
    running = site.start()
    hub.wait_state("job", "running")
    hub.stop()
    go.touch()
    wait = time.monotonic() + 10
    while "No answer from" not in site.log():
        assert time.monotonic() < wait
        time.sleep(0.05)
    assert running.poll() is None
    hub.start_again()
    assert hub.wait_state("job", "succeeded")["exit_code"] == 0
    hub.wait(lambda: hub.logs.get("job") == "late\n")


def test_answers_of_any_kind_do_not_end_the_agent(hub: FakeHub, site: Site) -> None:
    running = site.start()
    hub.wait_reports()
    bad: list[tuple[int, dict[str, str], Any]] = [
        (200, {}, []),
        (200, {}, {"orders": 7}),
        (200, {}, {"orders": [None, 7, {}], "log_offsets": {"x": "y"}}),
        (302, {"Location": "http://127.0.0.1:9/"}, {}),
        problem(413, "too-large"),
    ]
    hub.next_answers = [answer for each in bad for answer in (each, "fine")]
    hub.wait(lambda: not hub.next_answers, 40)
    hub.wait_reports(2, 40)
    assert running.poll() is None


def test_retry_after_is_honoured(hub: FakeHub, site: Site) -> None:
    site.start()
    hub.wait_reports()
    hub.next_answers = [problem(503, "unavailable", Retry_After="3")]
    hub.wait(lambda: not hub.next_answers)
    began, so_far = time.monotonic(), len(hub.reports)
    hub.wait(lambda: len(hub.reports) > so_far)
    assert time.monotonic() - began >= 2.5
    assert "Trying again in 3.0 s" in site.log()


def test_another_process_with_our_identity_is_waited_for(hub: FakeHub, site: Site) -> None:
    hub.next_answers = [problem(409, "agent-identity-in-use"), problem(409, "report-out-of-order")]
    site.start()
    hub.wait_reports(2)
    assert "Another process reports with this identity" in site.log()


def test_secrets_go_in_clear_to_this_machine_alone() -> None:
    for url in ("http://127.0.0.1:1", "http://localhost", "http://[::1]:80/base/", "https://hub.example.org"):
        assert Address(url).url == url
    assert Address("http://10.0.0.1", allow_http=True).host == "10.0.0.1"
    for url in ("http://10.0.0.1", "http://localhost.example.org", "ftp://x", "hub", "https://me:pw@hub", "http://a:x"):
        with pytest.raises(BadAddress):
            Address(url)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and says nothing, or one header a moment, for ever."""
    door = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        guest, _ = door.accept()
        with guest:
            guest.sendall(b"HTTP/1.1 200 OK\r\n")
            while not stop.wait(0.05):
                try:
                    guest.sendall(b"X-Slow: yes\r\n")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    yield door.getsockname()[1]
    stop.set()
    thread.join()
    door.close()


def test_a_hub_that_drips_is_given_up(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "TIMEOUT_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(HubError, match="within"):
        hubs.call(Address(f"http://127.0.0.1:{silent_port}"), "", "/", {})
    assert time.monotonic() - began < 5


def test_waiting_doubles_up_to_a_minute_and_is_never_in_step() -> None:
    waits = [[conversation.backoff(failures) for _ in range(200)] for failures in range(12)]
    for failures, some in enumerate(waits):
        most = min(2.0**failures, 60)
        assert most / 2 <= min(some) < max(some) <= most
    assert len(set(waits[5])) > 100
