"""Into running work from one's own computer, over real sockets: `aquifer-forward`, and a reader that does not read."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portal.forward import Socket
from tests import factories
from tests.e2e.product import Client, Product, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["direct", "agent"])
def work(request: pytest.FixtureRequest, product: Product, admin: Client) -> Iterator[str]:
    """Work that runs at a simulated site and listens on a port: one that the hub asks, or one whose agent dials in."""
    slug = f"toy-{request.param}"
    site = admin.post("/sites", {"slug": slug, "name": "Toy"})
    settings = {"nodes": [factories.as_settings(factories.node_seen("toy-0", devices=2))]}
    is_direct = request.param == "direct"
    driver = {"driver": "fake", "settings": settings} if is_direct else {"driver": "agent"}
    cluster = admin.post("/clusters", {"site": site["id"], "slug": slug, "name": "Toy", "kind": "kubernetes", **driver})
    if not is_direct:
        start_agent(product, admin, cluster["id"], settings)
    pool = admin.post("/pools", {"slug": slug, "name": "Toy", "clusters": [cluster["id"]]})
    tenant = admin.post("/tenants", {"slug": slug, "name": "Toys"})
    project = admin.post("/projects", {"tenant": tenant["id"], "slug": "lab", "name": "Lab"})
    flavor = until(lambda: admin.get("/flavors?name=cpu")["results"] or None)
    admin.post(
        "/quotas",
        {"tenant": tenant["id"], "project": project["id"], "flavor": flavor[0]["name"], "nominal_milli": 2000},
    )
    body = {
        "name": "toy", "project": project["id"], "pool": pool["id"], "kind": "inference", "accelerators": 0,
        "cpu_milli": 100, "memory_mib": 64, "ports": [8888], "run_seconds": 3600.0,
    }  # fmt: skip
    made = str(admin.post("/workloads", body)["id"])
    until(lambda: admin.get(f"/workloads/{made}")["state"] == "running", what="it to run")
    yield made
    if not is_direct:
        product.kill("toy-agent")


def start_agent(product: Product, admin: Client, cluster: str, settings: dict[str, Any]) -> None:
    """The agent of a cluster that is simulated inside of it, enrolled as an operator would."""
    folder = product.folder / "toy-agent"
    secret = admin.post("/join-tokens", {"cluster": cluster})["secret"]
    enrol = [
        "-m",
        "aquifer_agent",
        "enrol",
        "--hub",
        product.url,
        "--join-token-env",
        "JOIN",
        "--state-dir",
        str(folder),
    ]
    product._run(enrol, JOIN=secret)
    (folder / "settings.json").write_text(json.dumps(settings))
    product._spawn(
        "toy-agent",
        ["-m", "aquifer_agent", "run-cluster", "--state-dir", str(folder), "--kind", "kubernetes", "--driver",
         "federation.drivers.fake:FakeDriver", "--settings", str(folder / "settings.json")],
    )  # fmt: skip


def forward(product: Product, *arguments: str, token: str = "") -> "subprocess.Popen[str]":
    """The script as it is downloaded, by itself in another folder."""
    script = product.folder / "aquifer-forward"
    with urllib.request.urlopen(f"{product.url}/aquifer-forward", timeout=10) as answer:
        script.write_bytes(answer.read())
    env = {"PATH": os.environ["PATH"], "AQUIFER_TOKEN": token}
    return subprocess.Popen(
        [sys.executable, "-I", str(script), *arguments],
        env=env, cwd=product.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def test_a_port_of_the_work_is_a_port_of_ones_own_computer(product: Product, admin: Client, work: str) -> None:
    local = free_port()
    process = forward(product, product.url, work, f"{local}:8888", token=admin.token)
    try:
        assert process.stdout is not None and str(local) in process.stdout.readline()
        sent = os.urandom(3_000_000)
        with (
            socket.create_connection(("127.0.0.1", local), timeout=30) as first,
            socket.create_connection(("127.0.0.1", local), timeout=30) as second,
        ):
            second.sendall(b"beside")
            threading.Thread(target=first.sendall, args=(sent,), daemon=True).start()
            got = b""
            while len(got) < len(sent):
                got += first.recv(1 << 16)
            assert got == sent
            assert second.recv(100) == b"beside"
    finally:
        process.terminate()
        process.communicate(timeout=10)
    entries = admin.get("/audit-entries?target_type=workload")["results"]
    assert {"port.open", "port.close"} <= {entry["what"] for entry in entries if entry["target_id"] == work}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda given: {**given, "token": "aq_wrong"}, "the token is not valid"),
        (lambda given: {**given, "work": "0" * 8}, "no such work"),
        (lambda given: {**given, "port": "9999"}, "Nothing listens on port 9999"),
    ],
    ids=["token", "work", "port"],
)
def test_what_is_wrong_is_said_in_one_line(
    product: Product, admin: Client, work: str, spoil: Callable[[dict[str, str]], dict[str, str]], words: str
) -> None:
    given = spoil({"token": admin.token, "work": work, "port": "8888"})
    local = free_port()
    process = forward(product, product.url, given["work"], f"{local}:{given['port']}", token=given["token"])
    try:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        with socket.create_connection(("127.0.0.1", local), timeout=30) as end:
            assert end.recv(10) == b""
        line = process.stderr.readline()
        assert words in line and "Traceback" not in line and admin.token not in line
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ftp://x", "w", "1"], "not an address"),
        (["http://hub.example", "w", "1"], "by https only"),
        (["https://hub.example", "w", "a"], "not PORT"),
        (["https://hub.example", "w", "0"], "from 1 to 65535"),
        (["https://hub.example", "w", "1"], "set AQUIFER_TOKEN"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_in_words(product: Product, arguments: list[str], words: str) -> None:
    process = forward(product, *arguments)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 2 and words in told


def test_who_does_not_read_costs_no_memory(product: Product, admin: Client, work: str) -> None:
    """A shell that says more than is read is waited for, all the way back to the site."""
    web = product.processes["web"].pid

    async def story() -> int:
        path = f"/ws/workloads/{work}/shell?tty=0&command=yes"
        end = await Socket.open(product.url, path, admin.token, None)
        assert await end.receive() == (1, b'{"type": "open"}')
        before = resident(web)
        await asyncio.sleep(4)
        grown = resident(web) - before
        got, until_ = 0, time.monotonic() + 3  # and it is still there for who begins to read
        while time.monotonic() < until_ and got < 1_000_000:
            found = await end.receive()
            assert found is not None
            got += len(found[1])
        await end.close()
        assert got >= 1_000_000
        return grown

    assert asyncio.run(story()) < 16 << 20


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    status: dict[str, Any] = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return int(status["VmRSS"].split()[0]) << 10


def test_a_shell_gives_output_and_its_exit_code(product: Product, admin: Client, work: str) -> None:
    async def story() -> dict[str, Any]:
        command = ["sh", "-c", "cat;echo+bad+>%262;exit+7"]
        query = "&".join(f"command={word}" for word in command)
        end = await Socket.open(product.url, f"/ws/workloads/{work}/shell?tty=0&{query}", admin.token, None)
        assert await end.receive() == (1, b'{"type": "open"}')
        await end.send(2, b"typed\n")
        said = b""
        while len(said) < 7:
            said += (await end.receive() or (0, b""))[1]
        assert said == b"\x01typed\n"
        await end.send(1, b'{"type": "eof"}')
        kind, bad = await end.receive() or (0, b"")
        assert (kind, bad) == (2, b"\x02bad\n")
        last: dict[str, Any] = json.loads((await end.receive() or (0, b""))[1])
        await end.close()
        return last

    assert asyncio.run(story()) == {"type": "end", "exit_code": 7, "code": "", "message": ""}


def test_what_the_site_noted_is_told(admin: Client, work: str) -> None:
    told = admin.get(f"/workloads/{work}/events")
    assert told["message"] == "" and {"Scheduled", "Started"} <= {event["reason"] for event in told["events"]}
