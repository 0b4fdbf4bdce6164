"""Exports are made chunk by chunk, by workers that may die, and appear whole or not at all."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from billing.actions import exporting, exports
from billing.exports.focus.check import check_files
from billing.exports.xlsx import TooLong
from billing.models import Export, ExportSchedule
from billing.policy import policy
from billing.states import ExportState
from federation import addresses
from portal.audit import SYSTEM
from portal.errors import Conflict, IllegalTransition, Invalid
from portal.transitions import move
from tests.billing.exporting import busy_month
from tests.billing.focus.bucket import bucket
from tests.billing.rows import NOVEMBER, Estate, october

pytestmark = pytest.mark.django_db


def ask(estate: Estate, kind: str = "focus-1.4", form: str = "csv", **more: Any) -> Export:
    return exports.request(by=SYSTEM, kind=kind, format=form, period=NOVEMBER, tenant=estate.tenant, **more)


def make(export: Export, folder: Path, **more: Any) -> Export:
    while exporting.make(export.pk, policy=policy(), folder=folder, **more):
        pass
    return Export.objects.get(pk=export.pk)


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", ["focus-1.2", "focus-1.4"])
def test_an_export_is_whole_and_right(kind: str, form: str, tmp_path: Path) -> None:
    estate = Estate()
    busy_month(estate)
    done = make(ask(estate, kind, form), tmp_path)
    assert (done.state, done.reason) == (ExportState.DONE, "")
    folder = tmp_path / str(done.pk)
    manifests = sorted(folder.glob("*/manifest.json"))
    assert len(manifests) == (1 if kind == "focus-1.2" else 4)
    assert [str(v) for _, v in check_files(manifests)] == []
    assert {file["name"] for file in done.files} == set(bytes_in(folder))
    assert done.rows == sum(file["rows"] for file in done.files) > 10
    assert set(json.loads((folder / exporting.WHOLE).read_bytes())["manifests"]) == {
        f"{m.parent.name}/manifest.json" for m in manifests
    }


def test_a_worker_that_dies_costs_a_chunk_and_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "ROWS_PER_CHUNK", 3)
    estate = Estate()
    busy_month(estate)
    whole, broken = ask(estate), ask(estate)
    make(whole, tmp_path / "a")
    steps = 0
    while exporting.make(broken.pk, policy=policy(), folder=tmp_path / "b", seconds=0.0):
        steps += 1
        row = Export.objects.get(pk=broken.pk)
        assert not (tmp_path / "b" / str(broken.pk) / exporting.WHOLE).exists()
        assert (row.state, row.rows) == (ExportState.RUNNING, min(3 * steps, row.rows))
        # A worker that was killed leaves its lease, and perhaps half a chunk.
        Export.objects.filter(pk=broken.pk).update(lease_token=None, lease_expires_at=None)
        (tmp_path / "b" / str(broken.pk) / "CostAndUsage" / ".CostAndUsage-00099.csv.part").write_bytes(b"half")
    assert steps > 3
    (tmp_path / "b" / str(broken.pk) / "CostAndUsage" / ".CostAndUsage-00099.csv.part").unlink()
    assert bytes_in(tmp_path / "b" / str(broken.pk)) == bytes_in(tmp_path / "a" / str(whole.pk))


def test_line_items_and_card_hours_are_workbooks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = Estate()
    busy_month(estate)
    for kind, name in (("line-items", "LineItems.xlsx"), ("card-hours", "CardHours.xlsx")):
        done = make(ask(estate, kind, "xlsx"), tmp_path)
        assert (done.state, [file["name"] for file in done.files]) == (ExportState.DONE, [name])
        assert (tmp_path / str(done.pk) / name).read_bytes()[:2] == b"PK"
    with pytest.raises(Invalid, match=r"for line items and card-hours"):
        ask(estate, "focus-1.2", "xlsx")
    monkeypatch.setattr("billing.exports.workbooks.MOST_ROWS", 2)
    failed = make(ask(estate, "line-items", "xlsx"), tmp_path)
    assert (failed.state, failed.reason) == (ExportState.FAILED, "TooLong")
    assert failed.message == "A workbook holds 2 rows here. Take CSV or Parquet."


def test_an_export_that_is_not_wanted_any_more_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "ROWS_PER_CHUNK", 1)
    estate = Estate()
    busy_month(estate)
    export = ask(estate)
    assert exporting.make(export.pk, policy=policy(), folder=tmp_path, seconds=0.0)
    exports.cancel(by=SYSTEM, export=export)
    assert not exporting.make(export.pk, policy=policy(), folder=tmp_path)
    assert make(export, tmp_path).state == ExportState.CANCELLED
    with pytest.raises(IllegalTransition):
        exports.cancel(by=SYSTEM, export=export)
    assert exporting.expire(folder=tmp_path) == 1
    assert Export.objects.get().state == ExportState.EXPIRED
    assert list(tmp_path.iterdir()) == []


def test_what_is_cancelled_while_it_fails_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = Estate()
    busy_month(estate)
    export = ask(estate, "line-items", "xlsx")

    def too_long(*_: Any, **__: Any) -> None:
        exports.cancel(by=SYSTEM, export=export)
        raise TooLong("It is too long.")

    monkeypatch.setattr(exporting.workbooks, "write", too_long)
    assert make(export, tmp_path).state == ExportState.CANCELLED


def test_files_go_when_they_were_kept_long_enough(tmp_path: Path) -> None:
    estate = Estate()
    done = make(ask(estate), tmp_path)
    assert exporting.expire(folder=tmp_path) == 0
    Export.objects.update(expires_at=timezone.now())
    assert exporting.expire(folder=tmp_path) == 1
    assert not (tmp_path / str(done.pk)).exists()


# -- buckets


def target(estate: Estate | None, endpoint: str) -> Any:
    return exports.add_target(
        by=SYSTEM, tenant=estate.tenant if estate else None, slug="bucket", endpoint=endpoint, bucket="exports",
        prefix="/finance/", keys={"access_key": "key", "secret_key": "canary-secret"},
    )  # fmt: skip


def test_an_export_goes_to_a_bucket(tmp_path: Path, settings: Any) -> None:
    settings.SITE_LOOPBACK = True
    estate = Estate()
    busy_month(estate)
    with bucket() as (server, _):
        place = target(estate, server.place().endpoint or "")
        assert "canary" not in place.sealed
        done = make(ask(estate, target=place), tmp_path)
        assert (done.state, done.message) == (ExportState.DONE, "")
        here = make(ask(estate), tmp_path)
        prefix = f"/exports/finance/2026-11/focus-1.4-{done.pk}/"
        there = {name.removeprefix(prefix): data for name, data in server.objects.items()}
    assert there == bytes_in(tmp_path / str(here.pk))
    assert not (tmp_path / str(done.pk)).exists()
    with pytest.raises(Conflict):
        exports.remove_target(by=SYSTEM, target=place)


def test_a_bucket_that_is_away_is_tried_again_and_then_told(tmp_path: Path, settings: Any) -> None:
    settings.SITE_LOOPBACK = True
    estate = Estate()
    export = ask(estate, target=target(estate, "http://127.0.0.1:9"))
    exporting.make(export.pk, policy=policy(), folder=tmp_path)
    row = Export.objects.get(pk=export.pk)
    assert (row.state, row.attempts) == (ExportState.RUNNING, 1)
    assert row.message.startswith("The target did not take it: ")
    assert row.next_check_at > timezone.now()
    Export.objects.update(attempts=7)
    assert make(export, tmp_path).reason == "TargetUnavailable"


@pytest.mark.parametrize("endpoint", ["http://169.254.169.254", "http://127.0.0.1:9000", "ftp://a", "https://u:p@b"])
def test_a_bucket_is_not_where_no_site_may_be(endpoint: str, settings: Any) -> None:
    settings.SITE_LOOPBACK = False
    with pytest.raises(Invalid) as refused:
        target(None, endpoint)
    assert [error["pointer"] for error in refused.value.errors] == ["/endpoint"]


def test_a_target_is_for_its_own_tenant() -> None:
    estate, other = Estate(), Estate()
    place = target(other, "https://10.0.0.9")
    with pytest.raises(Invalid, match="somebody else"):
        ask(estate, target=place)
    with pytest.raises(Conflict, match="of this name"):
        target(other, "https://10.0.0.9")
    assert addresses.server("https://10.0.0.9").host == "10.0.0.9"


# -- schedules


def test_when_a_schedule_is_due() -> None:
    after = datetime(2026, 11, 10, 2, 0, tzinfo=UTC)  # a Tuesday, ten in the morning in Shanghai

    def due(every: str, hour: int) -> str:
        return exports.next_run(every, hour, after, policy()).astimezone(UTC).isoformat()[:16]

    assert due("day", 11) == "2026-11-10T03:00"
    assert due("day", 10) == "2026-11-11T02:00"
    assert due("week", 3) == "2026-11-15T19:00"
    assert due("month", 0) == "2026-11-30T16:00"


def test_what_was_missed_is_made_up_for_once() -> None:
    estate = Estate()
    schedule = exports.add_schedule(
        by=SYSTEM, tenant=estate.tenant, kind="card-hours", format="csv", every="month", hour=3, policy=policy()
    )
    assert exports.run_schedules(policy=policy()) == 0
    first = october().end + timedelta(hours=3)  # on the first of November, October is exported
    ExportSchedule.objects.update(next_at=first)
    assert [exports.run_schedules(policy=policy()) for _ in range(2)] == [1, 0]
    export = Export.objects.get()
    assert (export.period_start, export.schedule_id, export.tenant_id) == (
        october().start, schedule.pk, estate.tenant.pk,
    )  # fmt: skip
    assert ExportSchedule.objects.get().next_at > timezone.now()


def test_a_paused_schedule_waits_and_does_not_catch_up() -> None:
    schedule = exports.add_schedule(by=SYSTEM, kind="card-hours", format="csv", every="day", hour=3, policy=policy())
    exports.change_schedule(by=SYSTEM, schedule=schedule, is_paused=True, policy=policy())
    ExportSchedule.objects.update(next_at=timezone.now() - timedelta(days=9))
    assert exports.run_schedules(policy=policy()) == 0
    exports.change_schedule(by=SYSTEM, schedule=schedule, is_paused=False, policy=policy())
    assert exports.run_schedules(policy=policy()) == 0
    exports.remove_schedule(by=SYSTEM, schedule=schedule)
    assert not ExportSchedule.objects.exists()


def test_an_ended_export_is_not_made_again(tmp_path: Path) -> None:
    export = ask(Estate())
    make(export, tmp_path)
    with transaction.atomic(), pytest.raises(IllegalTransition):
        move(Export.objects.get(pk=export.pk), ExportState.RUNNING, by=SYSTEM)
    assert not exporting.make(export.pk, policy=policy(), folder=tmp_path)
