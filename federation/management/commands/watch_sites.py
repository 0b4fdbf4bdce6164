"""Follows the sites that tell of changes by themselves, until it is stopped."""

from federation.reconcile.watches import Watchers
from portal.management.forever import Forever


class Command(Forever):
    help = "Follow sites live. Run one or several; each cluster is followed by one of them."
    pause_seconds = 1.0

    def begin(self) -> None:
        self._watchers = Watchers()

    def round(self) -> None:
        self._watchers.step()

    def end(self) -> None:
        self._watchers.end()
