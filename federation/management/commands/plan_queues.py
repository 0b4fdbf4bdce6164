"""Places what waits, until it is stopped."""

from federation.placement import plan
from federation.reconcile.queues import Queues
from portal.management.forever import Forever


class Command(Forever):
    help = "Place what waits in queues. Run one or several; each queue is looked at by one at a time."

    def begin(self) -> None:
        plan.warm()  # on a machine that never planned the compiler takes half a minute; what it makes is kept on disk
        self._queues = Queues()

    def round(self) -> None:
        self._queues.step()

    def end(self) -> None:
        self._queues.end()
