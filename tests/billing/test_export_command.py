"""The ledger leaves by a command, and through the API."""

import hashlib
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from billing.actions import exporting
from billing.models import Export
from billing.policy import policy
from portal.permissions import Role
from tests.api.conftest import Client, client_of
from tests.billing.exporting import busy_month
from tests.billing.rows import Estate
from tests.factories import user

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command("export_charges", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_writes_what_the_checker_passes(tmp_path: Path) -> None:
    estate = Estate()
    busy_month(estate)
    said = run("--period", "2026-11", "--format", "csv", "--to", str(tmp_path / "a"))
    assert "files; the ledger up to transaction " in said
    call_command("check_focus", *map(str, sorted((tmp_path / "a").glob("*/manifest.json"))), stdout=StringIO())
    assert run("--period", "2026-11", "--format", "csv", "--to", str(tmp_path / "a")) == said
    one = run(
        "--period", "2026-11", "--tenant", estate.tenant.slug, "--what", "line-items", "--to", str(tmp_path / "b")
    )
    manifest = json.loads((tmp_path / "a" / "CostAndUsage" / "manifest.json").read_bytes())
    assert one.startswith(f"{manifest['rows']} rows, ")
    book = run("--period", "2026-11", "--what", "card-hours", "--format", "xlsx", "--to", str(tmp_path / "c"))
    assert (tmp_path / "c" / "CardHours.xlsx").exists() and "1 files" in book


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--period", "2026-13"], "Write the month as 2026-10."),
        (["--period", "2026-11", "--tenant", "nobody"], "There is no tenant nobody."),
        (["--period", "2026-11", "--format", "xlsx"], "Workbooks are for line items and card-hours"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=said):
        run(*words, "--to", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


# -- through the API


def finance(estate: Estate | None) -> Client:
    role = Role.TENANT_FINANCE if estate else Role.PLATFORM_FINANCE
    return client_of(user(role, estate.tenant if estate else None))


def ask(client: Client, estate: Estate | None, **more: Any) -> Any:
    whose = str(estate.tenant.pk) if estate else None
    return client.post(
        "/api/v1/exports", {"kind": "focus-1.2", "format": "csv", "period": "2026-11", "tenant": whose, **more}
    )


def test_finance_asks_follows_and_fetches() -> None:
    estate = Estate()
    busy_month(estate)
    client = finance(estate)
    asked = ask(client, estate)
    assert asked.status_code == 201, asked.json()
    address = f"/api/v1/exports/{asked.json()['id']}"
    early = client.get(f"{address}/file")
    assert (early.status_code, early.json()["detail"]) == (409, "This export is queued: there is nothing to fetch.")
    exporting.make(asked.json()["id"], policy=policy(), folder=settings.EXPORTS_DIR)
    seen = client.get(address).json()
    assert (seen["state"], seen["period"], seen["actions"]) == ("done", "2026-11", [])
    assert 0 < seen["rows"] <= seen["expected_rows"] < 2 * seen["rows"]
    for file in seen["files"]:
        answer = client.get(f"{address}/file?name={file['name']}")
        data = b"".join(answer)  # streamed
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
    assert answer["Content-Disposition"] == 'attachment; filename="2026-11-export.json"'
    for name in ("../secret-key", "CostAndUsage/../../x", "/etc/passwd", "CostAndUsage"):
        assert client.get(f"{address}/file", {"name": name}).status_code == 422


def test_a_tenants_finance_gets_its_own_alone() -> None:
    estate, other = Estate(), Estate()
    client = finance(estate)
    assert ask(client, other).status_code == 404
    assert ask(client, None).status_code == 403
    theirs = ask(finance(other), other).json()["id"]
    everything = ask(finance(None), None).json()["id"]
    for pk in (theirs, everything):
        assert client.get(f"/api/v1/exports/{pk}").status_code == 404
        assert client.get(f"/api/v1/exports/{pk}/file").status_code == 404
    assert client.get("/api/v1/exports").json()["results"] == []
    member = client_of(user(Role.TENANT_MEMBER, estate.tenant))
    assert ask(member, estate).status_code == 403
    assert member.get("/api/v1/exports").json().get("results", []) == []


def test_bad_wishes_change_nothing() -> None:
    estate = Estate()
    client = finance(estate)
    for wrong, pointer in (
        ({"period": "November"}, "/period"), ({"kind": "focus-9"}, "/kind"), ({"format": "xlsx"}, "/format"),
        ({"target": str(estate.tenant.pk)}, None),
    ):  # fmt: skip
        answer = ask(client, estate, **wrong)
        assert answer.status_code in (404, 422), answer.json()
        assert pointer is None or [e["pointer"] for e in answer.json()["errors"]] == [pointer]
    assert not Export.objects.exists()


def test_a_targets_keys_are_never_shown() -> None:
    estate = Estate()
    client = finance(estate)
    made = client.post(
        "/api/v1/export-targets",
        {
            "tenant": str(estate.tenant.pk), "slug": "ours", "endpoint": "https://10.0.0.9", "bucket": "finance",
            "access_key": "canary-1", "secret_key": "canary-2",
        },
    )  # fmt: skip
    assert made.status_code == 201, made.json()
    shown = client.get("/api/v1/export-targets").content + made.content
    assert b"canary" not in shown
    asked = ask(client, estate, target=made.json()["id"])
    assert asked.status_code == 201
    assert client.get(f"/api/v1/exports/{asked.json()['id']}/file").status_code == 409
    gone = client.delete(f"/api/v1/export-targets/{made.json()['id']}")
    assert (gone.status_code, gone.json()["detail"]) == (409, "Schedules or exports use this target.")


def test_a_schedule_is_made_paused_and_removed() -> None:
    estate = Estate()
    client = finance(estate)
    body = {"tenant": str(estate.tenant.pk), "kind": "card-hours", "format": "csv", "every": "week", "hour": 6}
    made = client.post("/api/v1/export-schedules", body)
    assert made.status_code == 201, made.json()
    address = f"/api/v1/export-schedules/{made.json()['id']}"
    paused = client.patch(address, {"is_paused": True}, headers={"If-Match": made["ETag"]})
    assert (paused.status_code, paused.json()["is_paused"]) == (200, True)
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404
