"""What work has to pass before it may wait in a queue, beside what federation itself looks at.

An app above federation adds its gate when it starts. A gate runs in the transaction that queues the work, for new work
and for work that is queued again by wish; it refuses by raising a DomainError.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from federation.models import Workload
from portal.audit import Actor


class Gate(Protocol):
    def __call__(self, *, by: Actor, work: Workload, ids: Sequence[UUID]) -> None:
        """`ids` are the workloads that are to be queued, each as `work` is."""


_gates: list[Gate] = []


def add(gate: Gate) -> None:
    if gate not in _gates:
        _gates.append(gate)


def let_in(*, by: Actor, work: Workload, ids: Sequence[UUID]) -> None:
    """Returns when every gate lets them in."""
    for gate in _gates:
        gate(by=by, work=work, ids=ids)
