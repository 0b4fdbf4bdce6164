"""Making an export: some chunks at a time, so that no worker is held long and none that dies loses much."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError
from django.db import transaction
from django.utils import timezone

from billing.actions.exports import KEPT_DAYS
from billing.exports import workbooks
from billing.exports.focus.charges import InvalidCharge, Party
from billing.exports.focus.export import MANIFEST, Layout, Manifest, SnapshotMoved, export
from billing.exports.focus.formats import Format
from billing.exports.ledger.query import Place, Whole
from billing.exports.ledger.reference import taken_at
from billing.exports.ledger.snapshots import Reading, snapshots
from billing.exports.targets import Target, Within
from billing.exports.targets.folder import Folder
from billing.exports.targets.s3 import S3
from billing.exports.targets.s3 import Place as Bucket
from billing.exports.xlsx import TooLong
from billing.models import Charge, Export, ExportTarget, InvoicedCharge
from billing.models.exports import XLSX
from billing.periods import month_of
from billing.policy import Policy
from billing.states import ExportState
from federation.addresses import BadAddress
from federation.registry import reachable
from federation.sealing import vault
from portal.audit import SYSTEM
from portal.transitions import move

ROWS_PER_CHUNK = 100_000
AT_ONCE_SECONDS = 5.0  # after that, the chunk that is being written is the last for now
WHOLE = "export.json"  # names the manifests of all datasets; where it is, all of it is there


class OutOfTime(Exception):
    """There is more to do."""


def make(pk: UUID | str, *, policy: Policy, folder: Path, seconds: float = AT_ONCE_SECONDS) -> bool:
    """Make some of an export. True when there is more to do."""
    token = Export.objects.claim(pk)
    if token is None:
        return False
    row = Export.objects.select_related("target").get(pk=pk)
    if row.state == ExportState.QUEUED:
        with transaction.atomic():
            move(row, ExportState.RUNNING, by=SYSTEM, expected_rows=_expected(row))
    if row.state != ExportState.RUNNING:
        Export.objects.settle(pk, token, check_in=None)
        return False
    try:
        files = _made(row, token, policy, target_of(row, policy, folder), seconds)
    except OutOfTime:
        Export.objects.settle(pk, token, check_in=0.0)
        return True
    except (InvalidCharge, SnapshotMoved, TooLong, BadAddress) as error:
        return _failed(row, token, type(error).__name__, str(error))
    except (BotoCoreError, ClientError, OSError) as error:
        if row.attempts < 8:  # a storage that is away comes back, or is mended
            message = f"The target did not take it: {error}"[:500]
            Export.objects.filter(pk=pk, lease_token=token).update(message=message)
            Export.objects.settle(pk, token, check_in=min(2.0**row.attempts, 600.0), is_good=False)
            return False
        return _failed(row, token, "TargetUnavailable", f"The target did not take it: {error}"[:500])
    now = timezone.now()
    with transaction.atomic():
        if Export.objects.settle(pk, token, check_in=None):
            row.refresh_from_db()
            if row.state == ExportState.RUNNING:
                move(row, ExportState.DONE, by=SYSTEM, files=files, finished_at=now,
                     expires_at=now + timedelta(days=KEPT_DAYS))  # fmt: skip
    return False


def _expected(row: Export) -> int:
    """About how many rows there will be: each charge once, and twice more where a credit note took it back."""
    charges = Charge.objects.filter(billing_period_start=row.period_start)
    notes = InvoicedCharge.objects.filter(invoice__period_start=row.period_start, sign=-1)
    if row.tenant_id is not None:
        charges, notes = charges.filter(tenant_id=row.tenant_id), notes.filter(invoice__tenant_id=row.tenant_id)
    return charges.count() + 2 * notes.count()


def _failed(row: Export, token: UUID, reason: str, message: str) -> bool:
    with transaction.atomic():
        if Export.objects.settle(row.pk, token, check_in=None):
            row.refresh_from_db()
            if row.state == ExportState.RUNNING:  # not when it was cancelled meanwhile
                move(row, ExportState.FAILED, by=SYSTEM, reason=reason, message=message,
                     expires_at=timezone.now() + timedelta(days=KEPT_DAYS))  # fmt: skip
    return False


def target_of(row: Export, policy: Policy, folder: Path) -> Target:
    """Each export has a folder, or a prefix, of its own."""
    if row.target is None:
        return Folder(folder / str(row.pk))
    return bucket_of(
        row.target, f"{row.target.prefix}{month_of(row.period_start, policy.zone).label}/{row.kind}-{row.pk}/"
    )


def bucket_of(target: ExportTarget, prefix: str) -> S3:
    """Looked at anew each time: an address that was fine may lead elsewhere now. Raises BadAddress."""
    keys = json.loads(vault().open(target.sealed, *target.place))
    return S3(
        Bucket(
            bucket=target.bucket, prefix=prefix, endpoint=str(reachable(target.endpoint)), region=target.region,
            access_key=keys["access_key"], secret_key=keys["secret_key"], path_style=target.path_style,
        )
    )  # fmt: skip


def whole_of(row: Export) -> Whole:
    return Whole(row.period_start, row.period_end, row.seq, row.tenant_id)


def hub_of(policy: Policy) -> Party:
    """Who writes the invoices."""
    return Party("hub", policy.issuer.name or "Aquifer")


Note = Callable[[str, Manifest, Reading], None]


def _made(row: Export, token: UUID, policy: Policy, target: Target, seconds: float) -> list[dict[str, Any]]:
    """All files, once they are there. Raises OutOfTime."""
    deadline = time.monotonic() + seconds
    places = {
        name: {int(n): Place(UUID(t), UUID(c), rows) for n, (t, c, rows) in kept.items()}
        for name, kept in row.places.items()
    }

    def note(name: str, manifest: Manifest, reading: Reading) -> None:
        """After each chunk: how far it is, and where reading goes on. The lease may be lost by then."""
        if reading.place is not None:
            p = reading.place
            kept = {**row.places.get(name, {}), str(manifest.rows): [str(p.tenant_id), str(p.charge_id), p.rows]}
            row.places = {**row.places, name: kept}
        alive = Export.objects.filter(pk=row.pk, lease_token=token, state=ExportState.RUNNING).update(
            rows=manifest.rows, bytes=sum(chunk.bytes for chunk in manifest.chunks), places=row.places
        )
        if not alive or time.monotonic() >= deadline:
            raise OutOfTime

    files = _files(row.kind, row.format, whole_of(row), target, policy, row.created_at, places, note)
    Export.objects.filter(pk=row.pk, lease_token=token).update(
        rows=sum(f["rows"] for f in files), bytes=sum(f["bytes"] for f in files)
    )
    return files


def written(
    kind: str, form: str, whole: Whole, target: Target, *, policy: Policy, note: Callable[[str, int], None]
) -> list[dict[str, Any]]:
    """A whole export at once, for who waits for it. `note` hears of each chunk."""

    def heard(name: str, manifest: Manifest, _: Reading) -> None:
        note(name, manifest.rows)

    return _files(kind, form, whole, target, policy, taken_at(whole), {}, heard)


def _files(
    kind: str, form: str, whole: Whole, target: Target, policy: Policy, made_at: datetime,
    places: dict[str, dict[int, Place]], note: Note,
) -> list[dict[str, Any]]:  # fmt: skip
    if form == XLSX:
        return [workbooks.write(kind, whole, target, made_at=made_at)]
    layout = Layout(Format(form), rows_per_chunk=ROWS_PER_CHUNK, bytes_per_chunk=256 * 1024 * 1024)
    files: list[dict[str, Any]] = []
    manifests: dict[str, str] = {}
    for snapshot, reading in snapshots(kind, whole, hub_of(policy)):
        name = snapshot.dataset.name
        if reading is not None:
            reading.places = places.get(name, {})
        hear = None if reading is None else partial(_heard, note, name, reading)
        manifest = export(snapshot, layout, Within(target, f"{name}/"), hear)
        data = manifest.as_json()
        manifests[f"{name}/{MANIFEST}"] = hashlib.sha256(data).hexdigest()
        files += [_file(f"{name}/{c.name}", c.rows, c.bytes, c.sha256) for c in manifest.chunks]
        files.append(_file(f"{name}/{MANIFEST}", 0, len(data), manifests[f"{name}/{MANIFEST}"]))
    last = json.dumps({"kind": kind, "ledger": whole.seq, "manifests": manifests}, indent=1).encode() + b"\n"
    with target.create(WHOLE) as out:
        out.write(last)
    return [*files, _file(WHOLE, 0, len(last), hashlib.sha256(last).hexdigest())]


def _heard(note: Note, name: str, reading: Reading, manifest: Manifest) -> None:
    note(name, manifest, reading)


def _file(name: str, rows: int, size: int, sha256: str) -> dict[str, Any]:
    return {"name": name, "rows": rows, "bytes": size, "sha256": sha256}


def expire(*, folder: Path, limit: int = 100) -> int:
    """Take away the files of exports that were kept long enough. What is in a bucket is the bucket's."""
    done = 0
    due = Export.objects.filter(expires_at__lte=timezone.now()).exclude(state=ExportState.EXPIRED)
    for row in due.order_by("expires_at")[:limit]:
        shutil.rmtree(folder / str(row.pk), ignore_errors=True)
        with transaction.atomic():
            move(row, ExportState.EXPIRED, by=SYSTEM, expires_at=None)
        done += 1
    return done
