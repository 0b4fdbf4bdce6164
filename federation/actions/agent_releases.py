"""Releases of the agent: taken from the operator, passed on to those agents that are to have them now.

What an agent runs is decided by the operator's signature, which it checks itself; here it is decided who is asked.
"""

import base64
import hashlib
import json
import re
from datetime import datetime, time
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from federation.models import Agent, AgentRelease, AgentUpdates, Cluster
from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, Invalid, NotFound

FORMAT = "aquifer-agent-release/1"
MOST_BYTES = 32 * 1024 * 1024
MOST_FAILURES = 3  # of agents that took it back: then nobody else is asked
_WINDOW = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", re.ASCII)


@transaction.atomic
def add(*, by: Actor, body: bytes, manifest: str, signature: str, key: bytes | None = None) -> AgentRelease:
    """Keep a release. It is offered to nobody until `roll_out`. With a key, only if that has signed it."""
    try:
        said = json.loads(manifest)
        if said["format"] != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        serial, version = int(said["serial"]), str(said["version"])
        expires = datetime.fromisoformat(said["expires"])
        if expires.tzinfo is None:
            raise ValueError("expires has no offset from UTC")
        is_file = (said["size"], said["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    except (ValueError, TypeError, KeyError) as error:
        raise Invalid.field("manifest", f"This is no manifest of a release: {error}.") from None
    if len(body) > MOST_BYTES or not is_file:
        raise Invalid.field("body", "The manifest is of another file.", "wrong-file")
    if key is not None:
        _check_signature(key, manifest, signature)
    try:
        with transaction.atomic():
            release = AgentRelease.objects.create(
                serial=serial, agent_version=version, sha256=said["sha256"], size=len(body), manifest=manifest,
                signature=signature.strip(), expires_at=expires, body=body,
            )  # fmt: skip
    except IntegrityError:
        raise Conflict(f"There is a release {serial} already. Sign this one with a higher serial.") from None
    audit.record(by=by, what="agent-release.add", target=release, detail={"version": version, "serial": serial})
    return release


def _check_signature(key: bytes, manifest: str, signature: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signature.strip()), manifest.encode())
    except (InvalidSignature, ValueError):
        raise Invalid.field("signature", "This key has not signed this manifest.", "bad-signature") from None


@transaction.atomic
def roll_out(*, by: Actor, serial: int, percent: int) -> AgentRelease:
    """Offer it to so many of the clusters that take releases by themselves; more later, or fewer."""
    if not 0 <= percent <= 100:
        raise Invalid.field("percent", "Say a number from 0 to 100.")
    release = _release(serial)
    if percent and release.withdrawn_at:
        raise Conflict("This release was withdrawn.")
    release.percent = percent
    release.save(update_fields=["percent"])
    audit.record(by=by, what="agent-release.roll-out", target=release, detail={"percent": percent})
    return release


@transaction.atomic
def withdraw(*, by: Actor, serial: int) -> AgentRelease:
    """Offer it to nobody any more. Agents that have taken it keep it, until there is a higher version."""
    release = _release(serial)
    AgentRelease.objects.filter(pk=release.pk).update(withdrawn_at=Now(), percent=0)
    release.refresh_from_db(fields=["withdrawn_at", "percent"])
    audit.record(by=by, what="agent-release.withdraw", target=release)
    return release


def _release(serial: int) -> AgentRelease:
    release = AgentRelease.objects.without_file().filter(serial=serial).first()
    if release is None:
        raise NotFound(f"There is no release {serial}.")
    return release


@transaction.atomic
def decide(*, by: Actor, cluster: Cluster, mode: str, window: str = "") -> AgentUpdates:
    """Whether this cluster's agent takes releases by itself, and at what time of the day (UTC)."""
    if mode not in AgentUpdates.Mode.values:
        raise Invalid.field("mode", f"Say one of {', '.join(AgentUpdates.Mode.values)}.")
    if window and not _WINDOW.fullmatch(window):
        raise Invalid.field("window", "A window looks like 22:00-04:00, in UTC.")
    values = {"mode": mode, "window": window}
    updates, _ = AgentUpdates.objects.update_or_create(cluster=cluster, defaults=values)
    audit.record(by=by, what="cluster.agent-updates", target=cluster, detail=values)
    found: AgentUpdates = updates
    return found


def offer(agent: Agent) -> dict[str, Any] | None:
    """The release that this agent is to take now, for the answer to its report."""
    updates = getattr(agent.cluster, "agent_updates", None)
    if updates is None or updates.mode != AgentUpdates.Mode.AUTO or not is_open(updates.window, timezone.now()):
        return None
    release = newer_for(agent)
    if release is None or _share_of(agent.cluster_id, release.serial) >= release.percent:
        return None
    failed = Agent.objects.filter(release__serial=release.serial, release__state="failed")
    if failed.count() >= MOST_FAILURES or failed.filter(pk=agent.pk).exists():
        return None
    return {
        "serial": release.serial,
        "version": release.agent_version,
        "path": f"/api/v1/agent-releases/{release.pk}",
        "manifest": release.manifest,
        "signature": release.signature,
    }


def newer_for(agent: Agent) -> AgentRelease | None:
    """The newest release that is rolled out, if it is above what this agent runs."""
    release = (
        AgentRelease.objects.without_file()
        .filter(withdrawn_at=None, expires_at__gt=timezone.now(), percent__gt=0)
        .order_by("-serial")
        .first()
    )
    return release if release and _order(release.agent_version) > _order(agent.agent_version) else None


def is_open(window: str, now: datetime) -> bool:
    if not window:
        return True
    begin, end = (time.fromisoformat(part) for part in window.split("-"))
    at = now.time().replace(tzinfo=None)
    return begin <= at < end if begin <= end else at >= begin or at < end


def _share_of(cluster: UUID, serial: int) -> int:
    """0 to 99, the same each time, and another order of clusters with each release."""
    return int(hashlib.sha256(f"{cluster}:{serial}".encode()).hexdigest()[:8], 16) % 100


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+(\.\d+)*", version, re.ASCII) else (-1,)
