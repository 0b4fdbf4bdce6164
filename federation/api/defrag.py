"""Plans of moves: the shapes of the question and the answer. federation/defrag.py finds them."""

from typing import Any

from rest_framework import serializers

from federation import defrag
from federation.actions import moves
from federation.models import Pool, Workload
from federation.placement.defrag import Aim, Move, Piece
from federation.placement.types import NodeFree


class DefragmentationQuestionSerializer(serializers.Serializer[Any]):
    """`most_moves`, or `most_share` of the running workloads; without either a tenth of them."""

    most_moves = serializers.IntegerField(min_value=0, max_value=defrag.MOST_MOVES, required=False)
    most_share = serializers.FloatField(min_value=0, max_value=1, required=False)
    seconds = serializers.FloatField(min_value=1, max_value=30, required=False, help_text="To search; 5 by default.")

    def get_fields(self) -> dict[str, Any]:
        wanted = serializers.ChoiceField(
            choices=[(aim.value, aim.value) for aim in Aim],
            required=False,
            help_text="What waits now (the default), or the mix of what is asked of the pool.",
        )
        return {"for": wanted, **super().get_fields()}  # a word that Python keeps for itself

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "most_moves" in attrs and "most_share" in attrs:
            raise serializers.ValidationError({"most_share": "Either most_moves or most_share."}, code="twice")
        return attrs


class NodeNameSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    site = serializers.CharField()
    cluster = serializers.CharField()
    name = serializers.CharField()


class MoveSerializer(serializers.Serializer[Any]):
    """One workload from a node to another, in the order they can be carried out; the new place is free before the old
    one is given up."""

    workload = serializers.UUIDField()
    name = serializers.CharField()
    tenant_name = serializers.CharField()
    project_name = serializers.CharField()
    source: Any = NodeNameSerializer()
    target = NodeNameSerializer()
    source_devices = serializers.ListField(child=serializers.IntegerField(), help_text="By their index on the node.")
    target_devices = serializers.ListField(child=serializers.IntegerField())
    milli = serializers.IntegerField(help_text="1/1000 of each of these devices.")


class NodeShapeSerializer(serializers.Serializer[Any]):
    """Nodes with the same devices: whole free devices, and nodes of which no device is in use."""

    name = serializers.CharField()
    nodes = serializers.IntegerField()
    free_devices_before = serializers.IntegerField()
    free_devices_after = serializers.IntegerField()
    free_nodes_before = serializers.IntegerField()
    free_nodes_after = serializers.IntegerField()


class StartedWorkloadSerializer(serializers.Serializer[Any]):
    workload = serializers.UUIDField()
    name = serializers.CharField()


class DefragmentationSerializer(serializers.Serializer[Any]):
    """Fragmentation is the part of what is free, from 0 to 1, that one of what is asked cannot use on average."""

    summary = serializers.CharField()
    moves = MoveSerializer(many=True)
    most_moves = serializers.IntegerField()
    running = serializers.IntegerField(help_text="Workloads that run in the pool.")
    members = serializers.IntegerField(help_text="Their members.")
    not_movable = serializers.IntegerField(help_text="Members of work that does not allow it.")
    in_gangs = serializers.IntegerField(help_text="Members of movable work of several; such is not moved yet.")
    free_devices_before = serializers.IntegerField()
    free_devices_after = serializers.IntegerField()
    fragmentation_before = serializers.FloatField()
    fragmentation_after = serializers.FloatField()
    shapes = NodeShapeSerializer(many=True)
    waiting = serializers.IntegerField()
    placed_before = serializers.IntegerField(help_text="Of those that wait, who would start without a move.")
    placed_after = serializers.IntegerField()
    started = StartedWorkloadSerializer(many=True, help_text="Who would start with the moves and not without.")
    found_by = serializers.ChoiceField(choices=[("greedy", "greedy"), ("solver", "solver")])
    is_best = serializers.BooleanField(help_text="Proven to be the best of all that was looked at.")


class WishSerializer(serializers.Serializer[Any]):
    """As in a plan."""

    workload = serializers.UUIDField()
    source: Any = serializers.UUIDField(help_text="The node that it runs on.")
    target = serializers.UUIDField(help_text="The node that it goes to.")


class CarryOutSerializer(serializers.Serializer[Any]):
    moves = serializers.ListField(child=WishSerializer(), min_length=1, max_length=defrag.MOST_MOVES)

    def validate_moves(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len({wish["workload"] for wish in value}) < len(value):
            raise serializers.ValidationError("Each workload once.", code="twice")
        return value


class SkippedSerializer(serializers.Serializer[Any]):
    workload = serializers.UUIDField()
    why = serializers.CharField()


class CarriedOutSerializer(serializers.Serializer[Any]):
    moved = serializers.ListField(child=serializers.UUIDField(), help_text="They stop now, and start elsewhere then.")
    skipped = SkippedSerializer(many=True)


def carry_out(user: Any, pool: Pool, data: dict[str, Any]) -> dict[str, Any]:
    done = moves.carry_out(by=user, pool=pool, wishes=[moves.Wish(**wish) for wish in data["moves"]])
    return {
        "moved": [str(pk) for pk in done.moved],
        "skipped": [{"workload": str(pk), "why": why} for pk, why in done.skipped.items()],
    }


def defragmentation(pool: Pool, data: dict[str, Any]) -> dict[str, Any]:
    aim = Aim(data.pop("for", Aim.WAITING))
    found = defrag.look(pool, aim=aim, **data)
    plan, by_id = found.plan, {piece.id: piece for piece in found.pieces}
    before, after = plan.before, plan.after
    started = after.placed - before.placed
    return {
        "summary": defrag.in_words(found),
        "moves": [
            _move(move, by_id[move.piece], found.running[move.piece], found.nodes) for move in plan.moves
        ],
        "most_moves": found.most_moves,
        "running": len(found.running),
        "members": len(found.pieces),
        "not_movable": plan.obstacles.get("not-movable", 0),
        "in_gangs": plan.obstacles.get("gang", 0),
        "free_devices_before": before.free_devices,
        "free_devices_after": after.free_devices,
        "fragmentation_before": round(before.lost_milli / max(before.free_milli, 1), 4),
        "fragmentation_after": round(after.lost_milli / max(after.free_milli, 1), 4),
        "shapes": [
            {
                "name": was.name,
                "nodes": was.nodes,
                "free_devices_before": was.free_devices,
                "free_devices_after": now.free_devices,
                "free_nodes_before": was.free_nodes,
                "free_nodes_after": now.free_nodes,
            }
            for was, now in zip(before.shapes, after.shapes, strict=True)
        ],
        "waiting": len(found.waiting),
        "placed_before": len(before.placed),
        "placed_after": len(after.placed),
        "started": [{"workload": str(w.pk), "name": w.name} for w in found.waiting if str(w.pk) in started],
        "found_by": plan.by,
        "is_best": plan.is_best,
    }  # fmt: skip


def _move(move: Move, piece: Piece, workload: Workload, nodes: Any) -> dict[str, Any]:
    return {
        "workload": str(workload.pk),
        "name": workload.name,
        "tenant_name": workload.tenant.name,
        "project_name": workload.project.name,
        "source": _name(nodes[move.source]),
        "target": _name(nodes[move.target]),
        "source_devices": [share.index for share in piece.devices],
        "target_devices": [share.index for share in move.devices],
        "milli": move.devices[0].milli if move.devices else 0,
    }


def _name(node: NodeFree) -> dict[str, str]:
    return {"id": node.id, "site": node.site, "cluster": node.cluster, "name": node.name}
