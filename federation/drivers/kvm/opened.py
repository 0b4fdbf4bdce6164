"""One connection to a libvirt and what can be asked over it: opened when first needed, and again when it was lost."""

import contextlib
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from federation.drivers.base import DeviceGrant, Unavailable, WorkloadSpec
from federation.drivers.kvm import wire
from federation.drivers.kvm.dial import Relay
from federation.drivers.kvm.host import Host
from federation.drivers.kvm.library import library
from federation.drivers.kvm.server import Endpoint
from federation.drivers.kvm.site import Site

# What may be called, and of which types its arguments are.
CALLS: Mapping[str, tuple[Any, ...]] = {
    "check": (),
    "inventory": (),
    "ensure": (WorkloadSpec,),
    "observe": (str,),
    "remove": (str,),
    "usage": (datetime, datetime),
    "observe_many": (tuple[str, ...],),
    "refs": (),
    "logs": (str, int, int),
    "events": (str,),
    "suspend": (str,),
    "resume": (str,),
    "restart": (str, bool),
    "plug": (str, DeviceGrant),
    "unplug": (str, DeviceGrant),
    "screen": (str,),
}


def called(site: Site, name: str, arguments: Any) -> Any:
    """What the library raises is no end: only work that is to be made can be refused for good, and says so itself."""
    kinds = CALLS[name]
    try:
        return getattr(site, name)(*(wire.built(k, a) for k, a in zip(kinds, arguments, strict=True)))
    except site.host.Error as error:
        raise Unavailable(f"The host answers: {error}") from None


class Opened:
    def __init__(self, endpoint: Endpoint, settings: Mapping[str, Any], folder: str) -> None:
        self._endpoint, self._settings, self._folder = endpoint, settings, folder
        self._host: Host | None = None
        self._relay: Relay | None = None
        self._ended: list[str] = []

    def call(self, name: str, arguments: Any) -> Any:
        if self._host is not None and not self._host.is_alive():
            self.close()
        if self._host is None:
            self._host = self._opened()
        try:
            return called(Site(self._host, self._settings), name, arguments)
        except Unavailable:
            if not self._host.is_alive():
                self.close()
            raise

    def heed(self) -> None:
        """Note the ends that the host has told of since: the moment of an end is then known to the second."""
        while self._ended and self._host is not None:
            name = self._ended.pop()
            with contextlib.suppress(Unavailable):
                Site(self._host, self._settings).note_end(name)

    def close(self) -> None:
        host, self._host = self._host, None
        relay, self._relay = self._relay, None
        if host is not None:
            host.close()
        if relay is not None:
            relay.close()

    def _opened(self) -> Host:
        libvirt = library()
        _run_events(libvirt)
        where = self._endpoint
        if where.way == "test":
            uri = f"test://{where.path}"
        elif where.way == "unix":
            uri = f"qemu+unix:///system?socket={where.path}"
        else:
            self._relay = Relay(where, self._folder)
            uri = f"qemu+unix:///system?socket={self._relay.path}"
        try:
            connection = libvirt.openAuth(uri, _credentials(libvirt, where), 0)
        except libvirt.libvirtError as error:
            trouble = self._relay.why() if self._relay is not None else ""
            self.close()
            raise Unavailable(trouble or f"The host cannot be reached: {error}") from None
        with contextlib.suppress(libvirt.libvirtError):  # the test driver has none
            connection.setKeepAlive(3, 3)
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._heard, None)
        return Host(libvirt, connection)

    def _heard(self, _connection: Any, domain: Any, event: int, _detail: int, _: Any) -> None:
        libvirt = library()
        if event in (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_CRASHED):
            self._ended.append(domain.name())


def _credentials(libvirt: Any, where: Endpoint) -> list[Any]:
    answers = {libvirt.VIR_CRED_AUTHNAME: where.username, libvirt.VIR_CRED_PASSPHRASE: where.password}

    def fill(wanted: list[list[Any]], _: Any) -> int:
        for one in wanted:
            if not answers.get(one[0]):
                return -1
            one[4] = answers[one[0]]
        return 0

    return [list(answers), fill, None]


_events_run = threading.Event()


def _run_events(libvirt: Any) -> None:
    """The library's own loop, once in a process: it answers the host's keepalives and brings its events."""
    if _events_run.is_set():
        return
    _events_run.set()
    libvirt.virEventRegisterDefaultImpl()

    def loop() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, name="libvirt-events", daemon=True).start()
