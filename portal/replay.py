"""Replays a trace through the public API, as any client would, and draws up an account that must agree.

Needs nothing of Django: an address and a token. Sums are exact (integers and Decimal).
"""

import http.client
import json
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from federation.traces import TracePod


class ApiError(Exception):
    """The API refused; says what it answered."""


class Api:
    """JSON over one kept connection per thread; repeats what is safe to repeat."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "https" else 80)
        self._is_https = parts.scheme == "https"
        self._token = token
        self._local = threading.local()

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path + (f"?{urlencode(query, doseq=True)}" if query else ""), None)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._call("POST", path, body or {})

    def all(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every row of a list, page after page."""
        page = self.get(path, limit=200, **query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            page = self._call("GET", page["next"].split("/api/v1", 1)[1], None)

    def _call(self, method: str, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": str(uuid.uuid4())}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body), "application/json"
        for attempt in range(8):
            try:
                connection = self._connection()
                connection.request(method, f"/api/v1{path}", data, headers)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self._local.connection = None
                if attempt == 7:
                    raise
                time.sleep(min(0.2 * 2**attempt, 5.0))
                continue
            if answer.status == 503:
                time.sleep(1.0)
                continue
            if answer.status >= 400:
                raise ApiError(f"{method} {path}: {answer.status} {text[:500].decode(errors='replace')}")
            return json.loads(text) if text else None
        raise ApiError(f"{method} {path}: the server cannot serve just now")

    def _connection(self) -> http.client.HTTPConnection:
        if getattr(self._local, "connection", None) is None:
            kind = http.client.HTTPSConnection if self._is_https else http.client.HTTPConnection
            self._local.connection = kind(self._host, self._port, timeout=30)
        found: http.client.HTTPConnection = self._local.connection
        return found


@dataclass
class Account:
    """What came of a replay, and whether the books agree with each other."""

    submitted: int = 0
    placed: int = 0
    succeeded: int = 0
    failed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    allocations: int = 0
    granted_milli_seconds: Counter[str] = field(default_factory=Counter)  # by flavor, from the grants
    billed_milli_seconds: Counter[str] = field(default_factory=Counter)  # by flavor, from the usage records
    invoice_lines: Decimal = Decimal(0)
    invoice_total: Decimal = Decimal(0)
    invoiced_milli_seconds: Counter[str] = field(default_factory=Counter)
    currency: str = ""
    seconds: float = 0.0

    def disagreements(self) -> list[str]:
        """Empty when every sum agrees to the last digit."""
        found = []
        if self.submitted != self.succeeded + self.failed + sum(self.refused.values()):
            found.append("submitted is not succeeded + failed + refused")
        if self.placed != self.succeeded + self.failed:
            found.append("placed is not succeeded + failed")
        if +self.granted_milli_seconds != +self.billed_milli_seconds:
            found.append("the seconds granted are not the seconds metered")
        if +self.billed_milli_seconds != +self.invoiced_milli_seconds:
            found.append("the seconds metered are not the seconds on the invoice")
        if self.invoice_lines != self.invoice_total:
            found.append("the lines do not add up to the invoice")
        return found


class Replay:
    """One replay: its own tenant, project per class of service, pool and sites; then the trace's pods."""

    def __init__(self, api: Api, tag: str, show: Callable[[int, int, str], None]) -> None:
        self.api, self.tag, self.show = api, tag, show
        self.projects: dict[str, str] = {}
        self.pool = self.tenant = ""

    def prepare(self, clusters: Sequence[dict[str, Any]], qos: Sequence[str], nodes: int) -> None:
        """Sites, pool, tenant, quota, prices: everything by the API. `clusters` are bodies without their site."""
        ids = []
        for body in clusters:
            site = self.api.post("/sites", {"slug": f"{self.tag}-{body['slug']}", "name": f"{self.tag} {body['name']}"})
            ids.append(self.api.post("/clusters", {**body, "site": site["id"]})["id"])
        self._wait_for_nodes(ids, nodes)
        self.pool = self.api.post("/pools", {"slug": self.tag, "name": self.tag, "clusters": ids})["id"]
        self.tenant = self.api.post("/tenants", {"slug": self.tag, "name": f"Trace {self.tag}"})["id"]
        counts: Counter[str] = Counter()
        cores = 0
        for cluster in ids:
            for device in self.api.all("/accelerators", cluster=cluster):
                counts[device["model"]] += 1
            cores += sum(node["cpu_milli"] for node in self.api.all("/nodes", cluster=cluster))
        flavors = {m["name"]: m["flavor"] for m in self.api.all("/accelerator-models")}
        priced = {price["flavor"] for price in self.api.all("/prices")}
        for name in qos:
            project = self.api.post("/projects", {"tenant": self.tenant, "slug": name.lower(), "name": name})
            self.projects[name] = project["id"]
            quota = {"tenant": self.tenant, "project": project["id"]}
            for model, count in counts.items():
                self.api.post("/quotas", {**quota, "flavor": flavors[model], "nominal_milli": count * 1000})
            self.api.post("/quotas", {**quota, "flavor": "cpu", "nominal_milli": cores})
        for flavor in {*(flavors[m] for m in counts), "cpu"} - priced:
            price = {"flavor": flavor, "unit_price": "0.12" if flavor == "cpu" else "5", "currency": "CNY"}
            self.api.post("/prices", price)

    def _wait_for_nodes(self, clusters: list[str], nodes: int) -> None:
        until = time.monotonic() + 180
        while True:
            seen = sum(1 for cluster in clusters for _ in self.api.all("/nodes", cluster=cluster))
            self.show(seen, nodes, "nodes seen")
            if seen >= nodes:
                return
            if time.monotonic() > until:
                raise ApiError(f"Only {seen} of {nodes} nodes were seen in 3 minutes. Are the workers running?")
            time.sleep(1.0)

    def submit(self, pods: Sequence[TracePod], minutes: float, threads: int = 4) -> None:
        """Submit each pod at its time, the whole trace squeezed into `minutes`. Nothing runs longer than that:
        some pods of the trace ran for months, long before the rest arrived."""
        length = max(pods[-1].arrives, 1.0)
        speed = length / max(minutes * 60.0, 0.001)
        began = time.monotonic()
        done = 0
        waiting: deque[Any] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for pod in pods:
                delay = pod.arrives / speed - (time.monotonic() - began)
                if delay > 0:
                    time.sleep(delay)
                waiting.append(pool.submit(self._submit_one, pod, min(pod.runs / speed, minutes * 60.0)))
                while len(waiting) > threads * 4 or (waiting and waiting[0].done()):
                    waiting.popleft().result()
                    done += 1
                    if done % 20 == 0:
                        self.show(done, len(pods), f"submitted; {self._states()}")
            while waiting:
                waiting.popleft().result()
        self.show(len(pods), len(pods), f"submitted; {self._states()}")

    def _submit_one(self, pod: TracePod, run_seconds: float) -> None:
        self.api.post(
            "/workloads",
            {
                "project": self.projects[pod.qos], "pool": self.pool, "name": pod.name, "kind": "batch",
                "accelerators": pod.devices, "accelerator_milli": pod.milli if pod.devices else 1000,
                "model_names": list(pod.models), "cpu_milli": max(pod.cpu_milli, 1),
                "memory_mib": max(pod.memory_mib, 1), "command": ["replay"], "run_seconds": max(run_seconds, 1.0),
            },
        )  # fmt: skip

    def _states(self) -> str:
        counts = {row["state"]: row["count"] for row in self.api.get("/workloads/counts", tenant=self.tenant)}
        self.counts = counts
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count)

    def settle(self, total: int, patience_seconds: float = 120.0) -> None:
        """Until everything that can run has run: no change for a while, and only waiting work is left."""
        last, since = "", time.monotonic()
        while True:
            states = self._states()
            ended = sum(self.counts[s] for s in ("succeeded", "failed", "cancelled"))
            self.show(ended, total, f"ended; {states}")
            open_now = self.counts["admitted"] + self.counts["running"]
            if states != last:
                last, since = states, time.monotonic()
            if ended >= total or (not open_now and time.monotonic() - since > 15):
                break
            if time.monotonic() - since > patience_seconds:
                raise ApiError(f"Nothing has moved for {patience_seconds:.0f} s: {states}")
            time.sleep(1.0)
        until = time.monotonic() + 5 * patience_seconds
        live = ["reserved", "starting", "active", "stopping", "lost"]
        while self.api.get("/allocations", tenant=self.tenant, state=live, limit=1)["results"]:
            if time.monotonic() > until:
                raise ApiError("Hardware is still held although all work has ended.")
            time.sleep(1.0)

    def account(self) -> Account:
        """Read everything back and add it up; the waiting are counted as refused, with their reason."""
        book = Account()
        for workload in self.api.all("/workloads", tenant=self.tenant):
            book.submitted += 1
            if workload["state"] == "succeeded":
                book.succeeded += 1
            elif workload["state"] == "failed":
                book.failed += 1
            else:
                book.refused[workload["reason"]] += 1
        placed = set()
        for grant in self.api.all("/allocations", tenant=self.tenant):
            book.allocations += 1
            placed.add(grant["workload"])
            if grant["started_at"] and grant["ended_at"]:
                seconds = int(_second(grant["ended_at"]) - _second(grant["started_at"])) or 1
                book.granted_milli_seconds[grant["flavor"]] += seconds * grant["held_milli"]
        book.placed = len(placed)
        self._wait_for_meter(book)
        self._invoice(book)
        return book

    def _wait_for_meter(self, book: Account) -> None:
        """Metering runs behind by seconds; it is done when its sums stand still and agree, or do not move."""
        until = time.monotonic() + 90
        while True:
            book.billed_milli_seconds = Counter()
            for record in self.api.all("/usage-records", tenant=self.tenant):
                book.billed_milli_seconds[record["flavor"]] += record["milli_seconds"]
            if book.billed_milli_seconds == book.granted_milli_seconds or time.monotonic() > until:
                return
            time.sleep(3.0)

    def _invoice(self, book: Account) -> None:
        """Bring the drafts up to date and add up their lines."""
        for known in list(self.api.all("/invoices", tenant=self.tenant)):
            invoice = self.api.post("/invoices/draft", {"tenant": self.tenant, "period": known["period"]})
            book.currency = invoice["currency"]
            book.invoice_total += Decimal(invoice["total"])
            for line in self.api.all(f"/invoices/{invoice['id']}/lines"):
                book.invoice_lines += Decimal(line["cost"])
                if line["category"] == "usage" and not line["meter"]:  # what is charged beside it counts otherwise
                    book.invoiced_milli_seconds[line["flavor"]] += line["milli_seconds"]


def _second(text: str) -> float:
    return int(datetime.fromisoformat(text).timestamp())
