"""A hub of one agent in a thread: level-triggered like the real one, and able to misbehave on request."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from federation.drivers.agent_nodes import stamp_of

JOIN_TOKEN = "join-0123456789"
AGENT_TOKEN = "agent-secret-9876543210"


class FakeHub:
    """`orders` is what is wanted; `reports` is what came.

    `next_answers` replaces answers one by one; "fine" leaves one as it is.
    """

    def __init__(self) -> None:
        self.epoch = 1
        self.poll_seconds = 0.2
        self.orders: dict[str, dict[str, Any]] = {}
        self.stray_orders: list[dict[str, Any]] = []  # added to every answer as they are
        self.enrolments: list[dict[str, Any]] = []
        self.want_inventory = False
        self.partitions: dict[str, dict[str, Any]] = {}  # by card: profiles and generation
        self.revoked = False
        self.nodes: dict[str, tuple[str, dict[str, Any]]] = {}  # of a cluster: digest and node by name
        self.logs: dict[str, str] = {}
        self.offsets: dict[str, int] = {}
        self.reports: list[dict[str, Any]] = []
        self.next_answers: list[str | tuple[int, dict[str, str], dict[str, Any]]] = []
        self.update: dict[str, Any] | None = None  # the release that is offered
        self.release = b""  # what is sent of it
        self.most_bytes = 1 << 30  # of it in one answer
        self.fetched: list[tuple[int, int]] = []  # what was asked for of it
        self.arrived = threading.Condition()
        self._server = _start(self, 0)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def start_again(self) -> None:
        self._server = _start(self, self.port)

    # What tests say and ask

    def want(self, ref: str, *command: str, generation: int = 1, epoch: int | None = None, **spec: Any) -> None:
        spec = {"ref": ref, "command": list(command), "memory_mib": 512, "cpu_milli": 1000, **spec}
        self.orders[ref] = order(ref, generation, epoch or self.epoch, spec)
        self.offsets.setdefault(ref, 0)

    def want_absent(self, ref: str) -> None:
        known = self.orders[ref]
        self.orders[ref] = {**known, "desired": "absent", "spec": None}

    def order_of(self, ref: str) -> dict[str, Any]:
        """The order to run it, as it was."""
        return order(ref, self.orders[ref]["generation"], self.orders[ref]["epoch"], {"command": ["true"]})

    def work(self, ref: str) -> dict[str, Any] | None:
        """The last word on one piece of work; None when the last report does not hold it."""
        known = [report["work"] for report in self.reports[-50:] if report["work"] is not None]
        return next((item for item in (known[-1] if known else []) if item["ref"] == ref), None)

    def wait(self, is_so: Callable[[], Any], seconds: float = 15.0) -> Any:
        """Until a report makes it so. Fails the test when none does in time."""
        until = time.monotonic() + seconds
        with self.arrived:
            while not (found := is_so()):
                if not self.arrived.wait(max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                    raise AssertionError(f"It never came to that. Last report: {self.reports[-1:]}")
        return found

    def wait_state(self, ref: str, *states: str, seconds: float = 15.0) -> dict[str, Any]:
        def seen() -> dict[str, Any] | None:
            work = self.work(ref)
            return work if work and work["state"] in states else None

        return dict(self.wait(seen, seconds))

    def wait_gone(self, ref: str, seconds: float = 15.0) -> None:
        self.wait(lambda: self.reports and self.work(ref) is None, seconds)

    def wait_reports(self, count: int = 1, seconds: float = 15.0) -> None:
        goal = len(self.reports) + count
        self.wait(lambda: len(self.reports) >= goal, seconds)

    # What the agent meets

    def answer(self, path: str, secret: str, body: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        if path == "/api/v1/agent/enrol":
            self.enrolments.append(body)
            if body["join_token"] != JOIN_TOKEN:
                return problem(401, "bad-credential")
            return 201, {}, {"agent_token": AGENT_TOKEN, "cluster_id": "c-1", "cluster": "lab", "epoch": self.epoch,
                             "poll_seconds": self.poll_seconds}  # fmt: skip
        if secret != AGENT_TOKEN or self.revoked:
            return problem(401, "bad-credential")
        return self._sync(body) if path == "/api/v1/agent/sync" else problem(404, "not-found")

    def _sync(self, report: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        same_boot = [r for r in self.reports if r["boot_id"] == report["boot_id"]]
        if same_boot and report["seq"] <= same_boot[-1]["seq"]:
            return problem(409, "report-out-of-order")
        for piece in report["logs"]:
            if piece["offset"] == self.offsets.get(piece["ref"]):
                self.logs[piece["ref"]] = self.logs.get(piece["ref"], "") + piece["text"]
                self.offsets[piece["ref"]] += piece.get("size") or len(piece["text"].encode())
        self.reports.append(report)
        seen = {item["ref"]: item["generation"] for item in report["work"] or []}
        held = set(seen)
        orders = [o for ref, o in self.orders.items() if o["desired"] == "run" or ref in held]
        known = set(self.orders) | {o["ref"] for o in self.stray_orders}
        orders += [order(ref, seen[ref], self.epoch, None) for ref in seen.keys() - known]
        offsets = {ref: at for ref, at in self.offsets.items() if ref in held or ref in self.orders}
        return 200, {}, {"epoch": self.epoch, "orders": orders + self.stray_orders, "log_offsets": offsets,
                         "nodes": self._take_nodes(report.get("nodes")), "partitions": self.partitions,
                         "release": self.update, "want_inventory": self.want_inventory,
                         "poll_seconds": self.poll_seconds}  # fmt: skip

    def _take_nodes(self, part: dict[str, Any] | None) -> dict[str, Any] | None:
        if part is None:
            return None
        self.nodes |= {item["node"]["name"]: (item["digest"], item["node"]) for item in part["changed"]}
        for name in part["gone"]:
            self.nodes.pop(name, None)
        return {"stamp": self.stamp(), "digests": self.digests() if part.get("want_digests") else None}

    def digests(self) -> dict[str, str]:
        return {name: digest for name, (digest, _) in self.nodes.items()}

    def stamp(self) -> str:
        return stamp_of(self.digests())


def order(ref: str, generation: int, epoch: int, spec: dict[str, Any] | None) -> dict[str, Any]:
    desired = "run" if spec else "absent"
    return {"ref": ref, "generation": generation, "epoch": epoch, "desired": desired, "spec": spec}


def problem(status: int, code: str, **headers: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    return status, headers, {"status": status, "code": code, "title": code, "detail": f"No: {code}."}


def _start(hub: FakeHub, port: int) -> ThreadingHTTPServer:
    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            secret = self.headers.get("Authorization", "").removeprefix("Bearer ")
            with hub.arrived:
                scripted = hub.next_answers.pop(0) if hub.next_answers and self.path.endswith("sync") else None
                if isinstance(scripted, tuple):
                    status, headers, answer = scripted
                else:
                    status, headers, answer = hub.answer(self.path, secret, body)
                hub.arrived.notify_all()
            if scripted == "garbage":
                answer = "<html>"
            if scripted == "lose":  # taken, but the answer never arrives
                self.close_connection = True
                return
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            begin, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            with hub.arrived:
                hub.fetched.append((int(begin), int(end)))
                data = hub.release[int(begin) : int(end) + 1][: hub.most_bytes]
                is_ours = self.headers.get("Authorization") == f"Bearer {AGENT_TOKEN}"
            self.send_response(206 if data and is_ours else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

    server = Server(("127.0.0.1", port), Door)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server
