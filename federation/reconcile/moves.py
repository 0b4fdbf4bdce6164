"""Work that is on its way to another node by a plan of moves: it gets its new place before the queue gets anything.

While its old place is still being given up, the new one is kept free for it; not for ever, since a site may hang.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from django.utils import timezone

from federation.models import Pool, Workload
from federation.placement.defrag import with_placements
from federation.placement.plan import Planner
from federation.placement.types import Fleet, NodeFree, Placement
from federation.reconcile import grants, waiting
from federation.reconcile.snapshot import QuotaRoom, fleet_of, request_of

KEPT_FOR = timedelta(minutes=10)


def first(pool: Pool) -> tuple[int, Sequence[NodeFree]]:
    """Reserve for those that come from elsewhere. How many were placed, and the nodes where room is kept for others of
    them: what is free there beside it.

    Who finds no room where it was sent is one of the queue as all others are.
    """
    sent = list(Workload.objects.waiting().filter(pool=pool, preferred_node__isnull=False).order_by("queued_at", "id"))
    if not sent:
        return 0, ()
    ready = set(waiting.waiting(pool).filter(preferred_node__isnull=False).values_list("pk", flat=True))
    nodes = _read(pool, sent)
    # One after the other: quota is read as the one before has left it.
    placed = [one for one in sent if one.pk in ready and _place(one, nodes)]
    Workload.objects.filter(pk__in=[one.pk for one in placed]).update(preferred_node=None)
    since = timezone.now() - KEPT_FOR
    coming = [one for one in sent if one.pk not in ready and one.state_since > since]
    kept: dict[str, NodeFree] = {}
    nodes = _read(pool, coming)
    for one in coming:
        # What still holds its old place holds its quota too.
        request = replace(request_of(one, {}), flavors=None)
        node = nodes.get(str(one.preferred_node))
        outcome = None if node is None else Planner(Fleet((node,)), "best-fit").place(request)
        if node is not None and isinstance(outcome, Placement):
            nodes[node.id] = kept[node.id] = with_placements(Fleet((node,)), [outcome], [request]).nodes[0]
    return len(placed), list(kept.values())


def _read(pool: Pool, work: Iterable[Workload]) -> dict[str, NodeFree]:
    wanted = {one.preferred_node for one in work if one.preferred_node is not None}
    return {node.id: node for node in fleet_of(pool, wanted).nodes} if wanted else {}


def _place(workload: Workload, nodes: dict[str, NodeFree]) -> bool:
    if (node := nodes.get(str(workload.preferred_node))) is None:
        return False
    owner = (workload.tenant_id, workload.project_id)
    request = request_of(workload, QuotaRoom([owner]).of(*owner))
    outcome = Planner(Fleet((node,)), "best-fit").place(request)
    if not isinstance(outcome, Placement):
        return False
    nodes[node.id] = with_placements(Fleet((node,)), [outcome], [request]).nodes[0]
    return bool(grants.commit_all([grants.Grant(workload.pk, workload.version, outcome)]))
