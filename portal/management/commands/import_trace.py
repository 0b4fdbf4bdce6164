"""Loads a public trace as simulated sites and replays its work through the API and the workers."""

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from federation.fleets import openb_nodes
from federation.traces import openb_pods
from portal.actions import members, tokens
from portal.audit import SYSTEM
from portal.models import User
from portal.permissions import Role
from portal.replay import Account, Api, ApiError, Replay

KINDS = ("kubernetes", "kvm", "baremetal", "openstack")
NODES = "openb_node_list_gpu_node.csv"


class Command(BaseCommand):
    help = (
        "Load the openb trace (nodes as four simulated sites of different kinds) and replay its pods, accelerated, "
        "through the API of a running Aquifer. Ends with an account whose sums must agree."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("folder", type=Path, help="where the trace's CSV files lie")
        parser.add_argument("--pods", default="default", help="which pod list (default: default)")
        parser.add_argument("--limit", type=int, help="only the first so many pods")
        parser.add_argument("--nodes", type=int, help="only the first so many nodes")
        parser.add_argument("--minutes", type=float, default=10.0, help="squeeze the trace into this long (10)")
        parser.add_argument("--url", default=settings.PUBLIC_URL, help="the API's address")
        parser.add_argument("--token", help="an access token of the platform's admin (default: a short-lived one)")
        parser.add_argument("--json", action="store_true", help="the account as one JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"].resolve()
        began = time.monotonic()
        try:
            nodes = openb_nodes(folder / NODES)[: options["nodes"]]
            pods = openb_pods(_pod_list(folder, options["pods"]))[: options["limit"]]
        except (OSError, ValueError) as error:
            raise CommandError(f"The trace cannot be read: {error}") from error
        replay = Replay(Api(options["url"], options["token"] or _token()), f"openb-{datetime.now():%m%d-%H%M%S}", _bar)
        share = -(-len(nodes) // len(KINDS))
        clusters = [
            {
                "slug": kind, "name": f"openb {kind}", "kind": kind, "driver": "fake",
                "settings": {
                    "seed": number, "nodes_file": str(folder / NODES),
                    "rows": [number * share, min((number + 1) * share, len(nodes))], "start_seconds": 0.2,
                },
            }
            for number, kind in enumerate(KINDS)
        ]  # fmt: skip
        try:
            replay.prepare(clusters, sorted({pod.qos for pod in pods}), len(nodes))
            self.stderr.write("")
            replay.submit(pods, options["minutes"])
            self.stderr.write("")
            replay.settle(len(pods))
            self.stderr.write("")
            account = replay.account()
        except ApiError as error:
            raise CommandError(str(error)) from error
        account.seconds = round(time.monotonic() - began, 1)
        self.stdout.write(json.dumps(_as_json(account)) if options["json"] else _as_text(account))
        if wrong := account.disagreements():
            raise CommandError("The books do not agree: " + "; ".join(wrong))


def _pod_list(folder: Path, name: str) -> Path:
    plain = folder / f"openb_pod_list_{name}.csv"
    return plain if plain.exists() else plain.with_name(plain.name + ".gz")


def _token() -> str:
    """A key for this one run, made where the command can reach the database."""
    user = User.objects.filter(memberships__role=Role.PLATFORM_ADMIN, is_active=True).first()
    if user is None:
        user = members.create_user(by=SYSTEM, username="admin", name="Administrator")
        members.add(by=SYSTEM, user=user, role=Role.PLATFORM_ADMIN)
    return tokens.create(by=SYSTEM, user=user, name="import_trace", scopes=["*"], days=1)[1]


def _bar(done: int, total: int, text: str) -> None:
    width = 30
    filled = width * done // max(total, 1)
    line = f"[{'#' * filled}{'.' * (width - filled)}] {done:>5}/{total} {text}"
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line[:150]:<150}")
        sys.stderr.flush()
    elif done == total or done % 1000 == 0:
        sys.stderr.write(f"{line}\n")


def _as_json(book: Account) -> dict[str, Any]:
    return {
        "submitted": book.submitted, "placed": book.placed, "succeeded": book.succeeded, "failed": book.failed,
        "refused": dict(book.refused), "allocations": book.allocations,
        "granted_milli_seconds": sum(book.granted_milli_seconds.values()),
        "billed_milli_seconds": sum(book.billed_milli_seconds.values()),
        "invoiced_milli_seconds": sum(book.invoiced_milli_seconds.values()),
        "invoice_total": str(book.invoice_total), "currency": book.currency, "seconds": book.seconds,
        "agrees": not book.disagreements(),
    }  # fmt: skip


def _as_text(book: Account) -> str:
    refused = ", ".join(f"{count} {reason}" for reason, count in book.refused.most_common()) or "none"
    lines = [
        f"submitted   {book.submitted}",
        f"placed      {book.placed} (in {book.allocations} grants)",
        f"succeeded   {book.succeeded}",
        f"failed      {book.failed}",
        f"refused     {sum(book.refused.values())} ({refused})",
        f"granted     {sum(book.granted_milli_seconds.values()) / 3_600_000:.3f} unit-hours",
        f"metered     {sum(book.billed_milli_seconds.values()) / 3_600_000:.3f} unit-hours",
        f"invoiced    {sum(book.invoiced_milli_seconds.values()) / 3_600_000:.3f} unit-hours",
        f"draft       {book.invoice_total} {book.currency}",
        f"took        {book.seconds:.0f} s",
        "The sums agree with each other." if not book.disagreements() else "The sums do NOT agree.",
    ]
    return "\n".join(lines)
