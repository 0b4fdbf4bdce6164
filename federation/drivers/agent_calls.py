"""What the agent of a site passes on at once: standing still, starting anew, screens, power.

Unlike wishes these are not kept: somebody waits, and what does not arrive in time has not been asked. The driver of
such a site has the abilities that its agent told, and no others, so that isinstance() is right about them.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Protocol

from federation.drivers.abilities import Power, PowerControl, Restartable, Screen, ScreenAccess, Suspendable
from federation.drivers.agent import AgentDriver, Letter, seen
from federation.drivers.base import Observation, Rejected, SiteDriver, Unavailable

# What an agent calls them in its reports, and what its driver has to be able to do.
ABILITIES: Mapping[str, type] = {
    "suspend": Suspendable,
    "restart": Restartable,
    "screen": ScreenAccess,
    "power": PowerControl,
}


class AskingMailbox(Protocol):
    """What these need of the hub beside the mailbox."""

    def ask(self, verb: str, ref: str, **detail: Any) -> Mapping[str, Any]:
        """The agent's answer, waited for some seconds: as `answer_to` made it. Raises Unavailable."""


class _Asking(AgentDriver):
    def _ask(self, verb: str, ref: str = "", **detail: Any) -> Any:
        self._fresh()  # nobody waits for an agent that is known to be away
        box: AskingMailbox = self._box  # type: ignore[assignment]  # the registry passes one
        answer = box.ask(verb, ref, **detail)
        if answer.get("code") == "unavailable":
            raise Unavailable(_words(answer) or "The site did not answer.")
        if answer.get("code"):
            raise Rejected(str(answer.get("reason") or "Refused")[:64], _words(answer) or "The site refused.")
        return answer.get("found")

    def _tell(self, verb: str, ref: str, **detail: Any) -> Observation:
        found = self._ask(verb, ref, **detail)
        if not isinstance(found, Mapping) or "state" not in found:
            raise Unavailable("The agent did not say what became of it.")
        return seen(Letter(ref, "run", 0, self.config.epoch, found))


class _Suspends(_Asking):
    def suspend(self, ref: str) -> Observation:
        return self._tell("suspend", ref)

    def resume(self, ref: str) -> Observation:
        return self._tell("resume", ref)


class _Restarts(_Asking):
    def restart(self, ref: str, *, is_hard: bool = False) -> Observation:
        return self._tell("restart", ref, is_hard=is_hard)


class _Shows(_Asking):
    def screen(self, ref: str) -> Screen | None:
        found = self._ask("screen", ref)
        if found is None:
            return None
        try:
            kind, port = str(found["kind"]), int(found["port"])
            if kind not in ("vnc", "spice") or not 0 < port < 65536:
                raise ValueError(kind)
            return Screen(kind, str(found["host"])[:253], port, str(found.get("password") or "")[:128])
        except (KeyError, TypeError, ValueError):
            raise Unavailable("The agent told of a screen that cannot be.") from None


class _Switches(_Asking):
    def power(self, node: str) -> Power:
        return _power(self._ask("power", node=node))

    def set_power(self, node: str, power: Power) -> Power:
        return _power(self._ask("set-power", node=node, power=power.value))


_PARTS: Mapping[str, type[_Asking]] = {
    "suspend": _Suspends, "restart": _Restarts, "screen": _Shows, "power": _Switches,
}  # fmt: skip


def passing_on(abilities: Iterable[str]) -> type[AgentDriver]:
    """The driver of a site whose agent says that it can do this."""
    return _class_of(frozenset(abilities).intersection(_PARTS))


@cache
def _class_of(abilities: frozenset[str]) -> type[AgentDriver]:
    parts = tuple(part for name, part in _PARTS.items() if name in abilities)
    return type("PassingAgentDriver", parts, {}) if parts else AgentDriver


def _power(word: Any) -> Power:
    return Power(word) if word in tuple(Power) else Power.UNKNOWN


def _words(answer: Mapping[str, Any]) -> str:
    return str(answer.get("message") or "")[:1000]


# -- the agent's side --------------------------------------------------------------------------------


def answer_to(driver: SiteDriver, call: Mapping[str, Any]) -> dict[str, Any]:
    """Do what the hub asks, with the driver of the site beside us: `found`, or a `code` and why not."""
    try:
        return {"code": "", "found": _done(driver, call)}
    except Unavailable as error:
        return {"code": "unavailable", "message": str(error)}
    except Rejected as error:
        return {"code": "refused", "reason": error.reason, "message": error.message}


def _done(driver: SiteDriver, call: Mapping[str, Any]) -> Any:
    verb, ref = call.get("verb"), str(call.get("ref"))
    if verb == "suspend" and isinstance(driver, Suspendable):
        return _shown(driver.suspend(ref))
    if verb == "resume" and isinstance(driver, Suspendable):
        return _shown(driver.resume(ref))
    if verb == "restart" and isinstance(driver, Restartable):
        return _shown(driver.restart(ref, is_hard=bool(call.get("is_hard"))))
    if verb == "screen" and isinstance(driver, ScreenAccess):
        screen = driver.screen(ref)
        return screen and {"kind": screen.kind, "host": screen.host, "port": screen.port, "password": screen.password}
    if verb == "power" and isinstance(driver, PowerControl):
        return driver.power(str(call.get("node"))).value
    if verb == "set-power" and isinstance(driver, PowerControl) and call.get("power") in (Power.ON, Power.OFF):
        return driver.set_power(str(call.get("node")), Power(call["power"])).value
    raise Rejected("NotPossible", "This kind of site does not offer that.")


def _shown(work: Observation) -> dict[str, Any]:
    return {
        "state": work.state.value, "generation": work.generation, "epoch": work.epoch, "ran_seconds": work.ran_seconds,
        "exit_code": work.exit_code, "reason": work.reason, "message": work.message,
    }  # fmt: skip
