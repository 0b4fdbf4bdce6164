"""Crash points: `AQUIFER_AGENT_CRASH_AT=name` ends this process at the named line, as a power cut would.

Tests walk every name and show that nothing runs twice, is lost, or is left over.
"""

import os

VARIABLE = "AQUIFER_AGENT_CRASH_AT"
ONCE = "AQUIFER_AGENT_CRASH_ONCE"  # a file: only the first process to come by dies

AGENT_POINTS = (
    "agent-started",  # run folders adopted, nothing reported
    "answer-received",  # the hub has answered, nothing of it is written down
    "epoch-saved",  # the highest epoch is on disk, no order has been followed
    "folder-prepared",  # the run folder is complete, but not yet under its name
    "folder-made",  # the order is accepted for good
    "shim-spawned",  # the shim may or may not have got anywhere
    "start-seen",  # the command is known to run, the hub does not know yet
    "stop-written",  # the order to end the work is on disk, nobody was signalled
    "stop-signalled",
    "run-gone",  # no process is left, the ref is not yet remembered as ended
    "tombstone-saved",  # remembered, the folder is still there
    "folder-removed",  # gone from reports, the files may still be there
)
SHIM_POINTS = (
    "shim-claimed",  # the run is this shim's, and nothing has started
    "shim-forked",  # the command's process exists and waits to be let go
    "shim-start-written",  # from here on the work counts as having run
    "shim-released",  # the command runs
    "shim-command-ended",  # the exit code is known, not written
    "shim-group-gone",  # no process is left, the exit code not written
    "shim-exit-written",
)
UPDATE_POINTS = (
    "update-offered",  # its signature is good, nothing has been fetched
    "update-part-written",  # some of it is on disk
    "update-fetched",  # all of it is, unchecked
    "update-staged",  # checked and tried out, the former release is in force
    "update-switched",  # the next start is of the new release
    "update-trial-noted",  # that start is counted, the base is about to give way
    "update-on-trial",  # the new release has begun
    "update-confirmed",  # it has spoken with the hub and stays
)
TAKE_BACK_POINTS = ("update-taken-back",)  # it did no good; the former release is in force again
CLUSTER_POINTS = (
    "cluster-started",  # nothing looked at, nothing reported
    "orders-received",  # the hub has answered, nothing of it is in mind
    "orders-taken",  # in mind; threads may have begun with it
    "ensure-before",
    "ensure-after",  # the site has the work, nobody was told
    "remove-before",
    "remove-after",  # the site was told to end it
    "removed",  # the site holds nothing of it, nobody was told
)
POINTS = AGENT_POINTS + SHIM_POINTS


def point(name: str) -> None:
    """Die here if this point was chosen."""
    if os.environ.get(VARIABLE) != name:
        return
    if once := os.environ.get(ONCE):
        try:
            os.close(os.open(once, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
    os._exit(137)
