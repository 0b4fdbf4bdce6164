"""What the agent must not forget: the highest epoch it has seen, and which work it has already ended."""

from pathlib import Path

from aquifer_agent import files

MOST_TOMBSTONES = 4096


class Fences:
    """Kept in one small file. A change that cannot be written down stays in force in memory and raises OSError.

    Epochs and generations are those of one cluster: enrolled for another, the agent begins afresh.
    """

    def __init__(self, path: Path, cluster_id: str) -> None:
        self._path = path
        self._cluster_id = cluster_id
        kept = files.read_json(path) or {}
        if kept.get("cluster_id") != cluster_id:
            kept = {}
        self.epoch = int(kept.get("epoch", 0))
        self._ended = {str(ref): int(generation) for ref, generation in dict(kept.get("ended", {})).items()}

    def raise_epoch(self, epoch: int) -> None:
        if epoch > self.epoch:
            self.epoch = epoch
            self._save()

    def bury(self, ref: str, generation: int) -> None:
        """Remember that this work was ended, before anything of it is deleted. The oldest are forgotten."""
        self._ended[ref] = max(generation, self._ended.pop(ref, 0))
        while len(self._ended) > MOST_TOMBSTONES:
            del self._ended[next(iter(self._ended))]
        self._save()

    def is_buried(self, ref: str, generation: int) -> bool:
        return ref in self._ended and generation <= self._ended[ref]

    def objection(self, ref: str, generation: int, epoch: int) -> str:
        """Why an order to run this must be refused as out of date; empty when it need not."""
        if epoch < self.epoch:
            return f"The order is of epoch {epoch}; this site has seen epoch {self.epoch}."
        if self.is_buried(ref, generation):
            return f"Generation {generation} of this work was ended here before."
        return ""

    def _save(self) -> None:
        files.write_json(self._path, {"cluster_id": self._cluster_id, "epoch": self.epoch, "ended": self._ended})
