"""Calls to agents: what the hub cannot dial, the agent does. It learns of a call with its next answer, and dials in."""

import json
import time
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from federation.drivers.base import Unavailable
from federation.models import Agent, AgentCall, Cluster
from federation.sealing import vault

WAIT_SECONDS = 30.0  # an older call that nobody took is nobody's
EVENTS_SECONDS = ANSWER_SECONDS = 8.0  # somebody looks at a page meanwhile
_MOST_AT_ONCE = 50


def ask(*, cluster: Cluster, ref: str, kind: AgentCall.Kind, detail: dict[str, Any], reply_to: str = "") -> AgentCall:
    """Put a call where the agent of this cluster will see it."""
    return AgentCall.objects.create(cluster=cluster, ref=ref, kind=kind, detail=detail, reply_to=reply_to)


def waiting(cluster: Cluster) -> list[dict[str, Any]]:
    """What the agent of a cluster is to dial in for, oldest first."""
    rows = AgentCall.objects.filter(cluster=cluster, taken_at=None, asked_at__gt=_since()).order_by("asked_at")
    return [
        {"id": str(call.pk), "ref": str(call.ref), "kind": call.kind, **call.detail} for call in rows[:_MOST_AT_ONCE]
    ]


def take(*, agent: Agent, pk: str) -> AgentCall | None:
    """This agent is there for this call: once, while somebody waits for it."""
    own = AgentCall.objects.filter(pk=pk, cluster=agent.cluster, taken_at=None, asked_at__gt=_since())
    if not own.update(taken_at=timezone.now()):
        return None
    return AgentCall.objects.filter(pk=pk).first()


def answer(call: AgentCall, found: list[Any], message: str) -> None:
    AgentCall.objects.filter(pk=call.pk).update(answer={"found": found, "message": message})


def can(cluster: Cluster, ability: str) -> bool:
    """Does the agent of this cluster say that it can do this?"""
    if cluster.driver != "agent":
        return False
    agent = Agent.objects.filter(cluster=cluster, revoked_at=None).first()
    return agent is not None and ability in ((agent.site or {}).get("abilities") or [])


def events(cluster: Cluster, ref: str) -> list[dict[str, Any]]:
    """What the agent's site noted about work. Raises Unavailable. Waits for the agent, some seconds."""
    given = _answered(ask(cluster=cluster, ref=ref, kind=AgentCall.Kind.EVENTS, detail={}), EVENTS_SECONDS)
    if given["message"]:
        raise Unavailable(given["message"])
    return list(given["found"])


def asked(*, cluster: Cluster, ref: str, detail: dict[str, Any]) -> dict[str, Any]:
    """What the agent says to something that it is asked to do now. Raises Unavailable. Waits, some seconds.

    What is not taken in time is forgotten and never done; whether what was taken has been done, only a look tells.
    """
    call = ask(cluster=cluster, ref=ref, kind=AgentCall.Kind.ASK, detail=detail)
    given = _answered(call, ANSWER_SECONDS)
    found: dict[str, Any] = json.loads(vault().open(given["sealed"], "agent call", str(call.pk)))
    return found


def answer_asked(call: AgentCall, said: dict[str, Any]) -> None:
    """It may hold the password of a screen, so it is sealed for as long as it lies here."""
    sealed = vault().seal(json.dumps(said).encode(), "agent call", str(call.pk))
    AgentCall.objects.filter(pk=call.pk).update(answer={"sealed": sealed})


def _answered(call: AgentCall, seconds: float) -> dict[str, Any]:
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            given = AgentCall.objects.filter(pk=call.pk).values_list("answer", flat=True).first()
            if given is not None:
                return dict(given)
            time.sleep(0.1)
        raise Unavailable("The site's agent did not answer in time.")
    finally:
        forget(call)


def forget(call: AgentCall) -> None:
    AgentCall.objects.filter(pk=call.pk).delete()


def drop_old() -> None:
    """Those whose asker died."""
    old = timezone.now() - timedelta(days=1)
    AgentCall.objects.filter(Q(taken_at=None, asked_at__lt=_since()) | Q(asked_at__lt=old)).delete()


def _since() -> Any:
    return timezone.now() - timedelta(seconds=WAIT_SECONDS)
