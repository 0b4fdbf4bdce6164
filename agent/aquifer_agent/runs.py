"""All runs of this agent: orders in, folders and shims driven one step at a time, states out."""

import logging
import os
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aquifer_agent import containers, crash, files, launch, orders, processes
from aquifer_agent import folder as f
from aquifer_agent.cgroups import Limits, group_name
from aquifer_agent.containers import Runtime, Runtimes
from aquifer_agent.fences import Fences
from aquifer_agent.limits import Group
from aquifer_agent.logs import tail
from aquifer_agent.orders import Order, Refused
from aquifer_agent.run import Run

logger = logging.getLogger(__name__)
LINGER_SECONDS = 5.0  # how long ended work may wait for the rest of its log to be sent
MOST_ATTEMPTS = 3  # to get a shim going
_MOST_REJECTIONS = 1000


@dataclass(frozen=True, slots=True)
class Rejection:
    """An order that is not carried out; reported until the hub takes it back."""

    order: Order
    reason: str
    message: str

    def report(self) -> dict[str, Any]:
        return {
            "ref": self.order.ref,
            "generation": self.order.generation,
            "epoch": self.order.epoch,
            "state": "rejected",
            "ran_seconds": None,
            "exit_code": None,
            "reason": self.reason,
            "message": self.message,
            "log_bytes": 0,
        }


class Runs:
    def __init__(
        self, state_dir: Path, cluster_id: str, fences: Fences, limits: Limits, run_as: str | None = None,
        runtimes: Runtimes | None = None,
    ) -> None:  # fmt: skip
        self._folder = state_dir / "runs"
        self._trash = state_dir / "trash"
        self._cluster_id = cluster_id
        self._owner = group_name(state_dir)  # on containers: whose they are
        self._fences = fences
        self._limits = limits
        self._run_as = run_as
        self._runtimes = runtimes or Runtimes()
        self.held: dict[str, Run] = {}
        self.rejections: dict[str, Rejection] = {}
        self._shims: dict[str, subprocess.Popen[bytes]] = {}
        self._attempts: dict[str, int] = {}
        self._complaints: dict[str, str] = {}  # said once, not five times a second
        self._linger_until: dict[str, float] = {}
        self._seen_started: set[str] = set()

    def adopt(self) -> None:
        """Take over what an earlier process of this agent left: whatever has a folder is ours."""
        mode = 0o711 if self._run_as else 0o700
        self._folder.mkdir(mode=mode, exist_ok=True)
        self._folder.chmod(mode)
        for old in self._trash.iterdir() if self._trash.is_dir() else ():
            threading.Thread(target=files.delete, args=(old,), name="delete", daemon=True).start()
        for folder in sorted(self._folder.iterdir()):
            if folder.name.startswith("."):
                shutil.rmtree(folder, ignore_errors=True)  # an order that was never wholly written
            elif folder.is_dir():
                run = self.held[folder.name] = Run(folder)
                logger.info("Adopted %s: %s.", run.ref, run.state())
                if run.plan.get("cluster_id") != self._cluster_id:
                    logger.info("%s is work of a cluster that this machine has left: ending it.", run.ref)
                    self._wish_stop(run, None, True, "Stopped")
        for name in containers.strays(self._runtimes, [*self.held], self._owner):
            logger.warning("Removed the container %s: there is no run of that name.", name)
        crash.point("agent-started")

    # Orders

    def obey(self, order: Order, devices: Mapping[str, Any]) -> None:
        """Carry out one order, or note why not. Again and again: a repeated order changes nothing."""
        if order.is_run:
            self._start(order, devices)
        else:
            self._end(order)

    def _start(self, order: Order, devices: Mapping[str, Any]) -> None:
        if (run := self.held.get(order.ref)) is not None:
            self._renew(run, order)
            return
        known = self.rejections.get(order.ref)
        if known and (order.epoch, order.generation) <= (known.order.epoch, known.order.generation):
            return
        try:
            if objection := self._fences.objection(order.ref, order.generation, order.epoch):
                raise Refused("OldGeneration", objection)
            runtime = self._runtimes.for_work(order.spec)
            orders.check(order.spec, devices.keys(), has_image=runtime is not None)
            self.held[order.ref] = self._take_on(order, runtime, devices)
            self.rejections.pop(order.ref, None)
        except Refused as refusal:
            self._reject(order, refusal.reason, refusal.message)
        except OSError as error:
            self._reject(order, "AgentDiskFull", f"The agent cannot write its state: {error.strerror}.")

    def _take_on(self, order: Order, runtime: Runtime | None, devices: Mapping[str, Any]) -> Run:
        """Write the order down: from here on it survives us. Raises OSError, and then nothing is left of it."""
        draft = self._folder / f".{order.ref}.{os.getpid()}"
        plan = {
            "ref": order.ref,
            "cluster_id": self._cluster_id,
            "generation": order.generation,
            "epoch": order.epoch,
            "spec": order.spec,
            "run_as": self._run_as,
            "limits": self._limits.group(order.ref).to_json(),
        }
        if runtime is not None:
            containers.check(order.spec)
            cards = [devices[granted["uuid"]] for granted in order.spec.get("devices") or ()]
            plan["container"] = containers.plan(
                runtime, order.ref, order.spec, run_as=self._run_as, network=self._runtimes.network,
                folder=self._folder / order.ref, cards=cards, owner=self._owner,
            )  # fmt: skip
        try:
            draft.mkdir(mode=0o711 if self._run_as else 0o700)
            files.write_json(draft / f.SPEC, plan)
            crash.point("folder-prepared")
            os.rename(draft, self._folder / order.ref)
            files.sync_folder(self._folder)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        crash.point("folder-made")
        logger.info("Taking on %s.", order.ref)
        return Run(self._folder / order.ref)

    def _renew(self, run: Run, order: Order) -> None:
        """An order for what is here already: note its newer generation; an older one changes nothing."""
        is_newer = (order.epoch, order.generation) > (run.epoch, run.generation)
        if run.is_removal_wanted or not is_newer or order.generation < run.generation:
            return
        if self._fences.objection(order.ref, order.generation, order.epoch):
            return
        run.plan.update(generation=order.generation, epoch=order.epoch)
        run.generation, run.epoch = order.generation, order.epoch
        try:
            files.write_json(run.folder / f.SPEC, run.plan)
        except OSError as error:
            logger.warning("Cannot note the new generation of %s: %s.", run.ref, error)

    def _end(self, order: Order) -> None:
        self.rejections.pop(order.ref, None)
        run = self.held.get(order.ref)
        if run is None:
            if not self._fences.is_buried(order.ref, order.generation):
                self._bury(order.ref, order.generation)  # so that an older order to run it comes too late
        elif order.generation < run.generation or order.epoch < run.epoch:
            logger.warning("Ignoring an order of the past to end %s.", order.ref)
        elif not run.is_removal_wanted:
            logger.info("Ending %s.", order.ref)
            run.generation, run.epoch = order.generation, order.epoch
            self._wish_stop(run, None, True, "Stopped")
            crash.point("stop-written")

    def _wish_stop(self, run: Run, grace_seconds: float | None, remove: bool, reason: str) -> None:
        try:
            run.wish_stop(grace_seconds=grace_seconds, remove=remove, reason=reason)
        except OSError as error:
            logger.warning("Cannot write down that %s is to end: %s. Ending it all the same.", run.ref, error)

    def _reject(self, order: Order, reason: str, message: str) -> None:
        logger.warning("Refusing %s: %s: %s", order.ref, reason, message)
        while len(self.rejections) >= _MOST_REJECTIONS:
            del self.rejections[next(iter(self.rejections))]
        self.rejections[order.ref] = Rejection(order, reason, message)

    # One step of everything

    def step(self, is_log_wanted: Callable[[Run], bool]) -> None:
        """Bring every run one step further. Never waits."""
        for run in list(self.held.values()):
            try:
                run.look()
                if run.is_removal_wanted:
                    self._step_removal(run, is_log_wanted)
                elif not run.exit:
                    self._step_life(run)
                self._complaints.pop(run.ref, None)
            except Exception as error:  # a full disk, mostly; whatever it is, the other runs go on
                if self._complaints.get(run.ref) != repr(error):
                    self._complaints[run.ref] = repr(error)
                    logger.warning("%s: %r; trying again.", run.ref, error)
            if run.started and run.ref not in self._seen_started:
                self._seen_started.add(run.ref)
                crash.point("start-seen")
        for ref, shim in list(self._shims.items()):
            if shim.poll() is not None and ref not in self.held:
                del self._shims[ref]

    def _step_life(self, run: Run) -> None:
        if run.claim and run.is_shim_alive():
            if run.stop:
                run.tell_stop()
            return
        shim = self._shims.get(run.ref)
        if not run.claim and shim is not None and shim.poll() is None:
            return  # on its way to the claim
        run.look()  # it may have written its last word just before it went
        if run.exit:
            return
        if run.started:
            self._bury_shim(run)
        elif run.stop:
            run.close(f.exit_record(launch.COULD_NOT_START, 0.0, str(run.stop["reason"])))
        else:
            self._try_shim(run, shim)

    def _try_shim(self, run: Run, last: "subprocess.Popen[bytes] | None") -> None:
        """Nothing of it has run yet, which is certain without started.json: start the shim, a few times."""
        if last is not None and last.poll() == f.DISK_FULL_STATUS:
            order = Order(run.ref, run.generation, run.epoch, True, run.spec)
            said = tail(run.folder / f.SHIM_LOG)
            self._remove(run)
            self._reject(order, "AgentDiskFull", f"The agent cannot write its state. {said}".strip())
            return
        if not self._are_devices_free(run):
            run.waits_for = "WaitingForDevice"
            return
        run.waits_for = ""
        attempts = self._attempts[run.ref] = self._attempts.get(run.ref, 0) + 1
        if attempts > MOST_ATTEMPTS or not run.spec:
            message = tail(run.folder / f.SHIM_LOG) or "The run could not be started."
            run.close(f.exit_record(launch.COULD_NOT_START, 0.0, "CouldNotStart", message))
            return
        if run.claim:
            (run.folder / f.CLAIM).unlink(missing_ok=True)
            run.claim = {}
        self._shims[run.ref] = run.start_shim()
        crash.point("shim-spawned")

    def _are_devices_free(self, run: Run) -> bool:
        """Work that is still ending holds its shares, whatever the hub has granted meanwhile."""
        held = Counter(orders.shares(run.spec))
        for other in self.held.values():
            if other is not run and not other.exit and (other.claim or other.ref in self._shims):
                held.update({uuid: share for uuid, share in orders.shares(other.spec).items() if uuid in held})
        return all(share <= 1000 for share in held.values())

    def _bury_shim(self, run: Run) -> None:
        """The shim is gone without a word: end what it left, and say so."""
        is_restart = run.started.get("boot_id") != processes.boot_id()
        if not is_restart and not run.kill_all():
            return
        if is_restart and run.container and not containers.remove(run.container):
            return  # the engine is not up yet: it may still have the container, ended
        reason = "MachineRestarted" if is_restart else "ShimLost"
        message = (
            "The machine restarted while it ran." if is_restart else "The process that watched over it was killed."
        )
        run.close(f.exit_record(137, f.read_progress(run.folder), reason, message, 9))

    def _step_removal(self, run: Run, is_log_wanted: Callable[[Run], bool]) -> None:
        if not run.claim:
            try:  # a claim that needs no room on the disk; from here on no shim can begin
                os.link(run.folder / f.SPEC, run.folder / f.CLAIM)
            except FileExistsError:
                return
            run.claim = {"pid": 0}
        if run.is_shim_alive():
            run.tell_stop()
            crash.point("stop-signalled")
            return
        run.look()
        if run.started and not run.exit and run.started.get("boot_id") == processes.boot_id() and not run.kill_all():
            return
        until = self._linger_until.setdefault(run.ref, processes.boottime() + LINGER_SECONDS)
        if is_log_wanted(run) and processes.boottime() < until:
            return
        crash.point("run-gone")
        Group.from_json(run.plan.get("limits") or {}).remove()
        self._bury(run.ref, run.generation)
        crash.point("tombstone-saved")
        self._remove(run)
        crash.point("folder-removed")
        logger.info("Removed %s.", run.ref)

    def _bury(self, ref: str, generation: int) -> None:
        try:
            self._fences.bury(ref, generation)
        except OSError as error:
            logger.warning("Cannot write down that %s was ended: %s.", ref, error)

    def _remove(self, run: Run) -> None:
        files.remove_folder(run.folder, self._trash)
        del self.held[run.ref]
        for memory in (self._attempts, self._linger_until, self._complaints):
            memory.pop(run.ref, None)
        self._seen_started.discard(run.ref)

    # States

    def states(self) -> dict[str, str]:
        return {ref: run.state() for ref, run in self.held.items()} | dict.fromkeys(self.rejections, "rejected")

    def devices(self) -> set[str]:
        """Devices of all work that has not ended, whether it runs yet or not."""
        return {uuid for run in self.held.values() if not run.exit for uuid in orders.shares(run.spec)}

    def living(self) -> list[Run]:
        return [run for run in self.held.values() if not run.exit and run.is_shim_alive()]

    def starting(self) -> bool:
        """Whether a shim is under way that has not claimed its run yet."""
        return any(
            shim.poll() is None and not self.held[ref].claim for ref, shim in self._shims.items() if ref in self.held
        )

    def reports(self) -> list[dict[str, Any]]:
        """Everything we hold, in the words of the protocol: what is not in it is not here."""
        return [r.report() for r in self.held.values()] + [r.report() for r in self.rejections.values()]

    def stop_all(self, most_grace_seconds: float) -> None:
        """The agent goes and takes its work along; the ends are kept for its next start."""
        for run in self.held.values():
            run.look()
            if not run.exit:
                grace = run.spec.get("grace_seconds")
                grace = most_grace_seconds if grace is None else min(float(grace), most_grace_seconds)
                self._wish_stop(run, grace, False, "AgentStopped")
