"""Who acts, and the record of it."""

from typing import Any, Protocol
from uuid import UUID

from portal.models import AuditEntry


class Actor(Protocol):
    """A user, or the system itself."""

    @property
    def actor_name(self) -> str: ...


class System:
    """Aquifer acting on its own: reconcilers, sweeps, start commands."""

    pk: UUID | None = None
    actor_name = "system"


SYSTEM = System()


def record(*, by: Actor, what: str, target: Any, detail: dict[str, Any] | None = None) -> AuditEntry:
    """Write one audit row in the caller's transaction. `detail` must hold no secret."""
    return AuditEntry.objects.create(
        tenant_id=getattr(target, "tenant_id", None),
        actor_id=getattr(by, "pk", None),
        actor_name=by.actor_name,
        what=what,
        target_type=target._meta.model_name or "",
        target_id=str(target.pk),
        target_name=str(target)[:200],
        detail=detail or {},
    )
