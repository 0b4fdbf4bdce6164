"""What a site showed when it was last found to be just what the rows say: as long as it shows that, and the rows are
those, nothing has to be compared.

A cluster's `sight` is two sums. The first is of all that was seen, made here. The second is of the rows that it was
compared with, made by Postgres, and asked for anew each time: who changes a row, by whatever way, changes the sum.
It is noted only by a look that found no difference, from the very values that it compared; a look that writes cannot
know what others did between its reading and its writing, and leaves the noting to the next.
"""

import marshal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BigIntegerField, BooleanField, Count, F, Func, Sum, TextField, Value

from federation.drivers.base import DeviceSeen, NodeSeen
from federation.models import Accelerator, Cluster, Node

# A release that makes other rows of the same sight has to compare once more.
_RULES = b"".join(
    (Path(__file__).parent / name).read_bytes() for name in ("inventory.py", "devices.py", "nesting.py", "twins.py")
)
_name = attrgetter("name")
_node = attrgetter(*(f.name for f in fields(NodeSeen) if f.name not in {"labels", "devices"}))
_device = attrgetter(*("health.value" if f.name == "health" else f.name for f in fields(DeviceSeen)))


def of(nodes: Sequence[NodeSeen], models: Mapping[tuple[str, str], tuple[UUID, int]]) -> str:
    """The sum of all that decides what the rows shall be. Empty when there is something that cannot be summed.

    marshal, of a version without references, writes equal values equally and each value differently; that a later
    Python writes them in another way costs one comparison.
    """
    known = [(*key, pk.hex, least) for key, (pk, least) in sorted(models.items())]
    try:
        told = [
            marshal.dumps((_node(node), [*node.labels.items()], [*map(_device, node.devices)]), 2)
            for node in sorted(nodes, key=_name)
        ]
        return blake2b(b"".join((_RULES, marshal.dumps(known, 2), *told)), digest_size=16).hexdigest()
    except ValueError:  # a subclass of str or int, say
        return ""


def row_sum(names: Iterable[str]) -> Func:
    """Of one row, over these columns."""
    row = Func(*(F(name) for name in names), function="ROW", output_field=TextField())
    return Func(row, Value(0), function="hash_record_extended", output_field=BigIntegerField())


NODE = row_sum(("id", "name", "state", "rack", "labels", "cpu_milli", "memory_mib", "foreign_cpu_milli",
                "foreign_memory_mib", "system_uuid", "guests"))  # fmt: skip
DEVICE = row_sum(("id", "node_id", "uuid", "index", "model_id", "parent_id", "memory_mib", "health", "is_present",
                  "is_identified", "mode", "step_milli", "most_shares", "resource", "foreign_milli",
                  "foreign_memory_mib", "serial", "pci", "passed_to", "guest_pci"))  # fmt: skip


def on_nodes_of(cluster: Cluster) -> Func:
    """A condition on devices. By an array, which is looked up in the index; for a join all devices of all clusters
    would be read, as Postgres believes a few thousand nodes to lie anywhere."""
    nodes = ArraySubquery(Node.objects.filter(cluster=cluster).values("pk"))
    return Func(
        F("node_id"), nodes, template="%(expressions)s)", arg_joiner=" = ANY (", output_field=BooleanField()
    )  # fmt: skip


def holds(cluster: Cluster, sight: str) -> bool:
    """Whether this was seen before and the rows are still as they were then."""
    noted = Cluster.objects.values_list("sight", flat=True).get(pk=cluster.pk)
    if not noted.startswith(sight):
        return False
    nodes = _total(Node.objects.filter(cluster=cluster), NODE)
    return bool(noted == noted_as(sight, nodes, _total(Accelerator.objects.filter(on_nodes_of(cluster)), DEVICE)))


def _total(rows: Any, of_row: Func) -> tuple[int, int]:
    found = rows.aggregate(count=Count("pk"), total=Sum(of_row))
    return found["count"], int(found["total"] or 0)


def noted_as(sight: str, nodes: tuple[int, int], devices: tuple[int, int]) -> str:
    return ":".join(map(str, (sight, *nodes, *devices)))


def note(cluster: Cluster, sight: str, nodes: Sequence[int], devices: Sequence[int]) -> None:
    """Sums of the rows that were compared, and found to be what was seen."""
    if sight:
        text = noted_as(sight, (len(nodes), sum(nodes)), (len(devices), sum(devices)))
        Cluster.objects.filter(pk=cluster.pk).exclude(sight=text).update(sight=text)
