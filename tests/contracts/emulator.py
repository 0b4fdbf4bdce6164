"""Bare servers by OpenStack's emulator: four servers behind one controller, whose power comes some seconds later.

It runs in this process as it is, on the harness's clock. It has no cards, so a lease is of a server without any: work
on card i is server i. What a connection may do to an answer is done here, before and after the emulator.
"""

import io
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from federation.drivers.base import Unavailable, WorkloadSpec
from federation.drivers.redfish import wire
from tests.baremetal.bmc import Bmc
from tests.contracts.harness import CARDS, NODE
from tests.contracts.redfish import RedfishHarness, name_of

# Real seconds that the driver gives an answer: twice what our own controllers get, which answer sooner.
_WAITS = 0.8
UUIDS = [f"27946b59-9e44-4fa7-8e91-f3527a1ef1{n:02d}" for n in range(CARDS)]


class EmulatorHarness(RedfishHarness):
    shows_hardware = measures = False
    steps = 90  # power may take eleven seconds, each way, and the grace of a shutdown is between them

    def __init__(self, folder: Path) -> None:
        self.is_down, self.silence = False, 0.0
        self._emulator: Any = None
        self._port = 0
        super().__init__()
        self._patch.setattr(wire, "REQUEST_SECONDS", _WAITS)
        self._start(folder)
        self._look()

    def _look(self) -> None:
        """What a server is made of is looked at before anything of it is measured; again, where the machine is busy."""
        for left in reversed(range(5)):
            try:
                list(self.driver().inventory())
                return
            except Unavailable:
                if not left:
                    raise

    def made(self) -> list[Bmc]:
        return []

    def machines(self) -> list[dict[str, str]]:
        return [
            {"name": name_of(i), "server": f"http://127.0.0.1:{self._port}", "address": "127.0.0.1",
             "system": f"/redfish/v1/Systems/{uuid}"}
            for i, uuid in enumerate(UUIDS)
        ]  # fmt: skip

    def whole(self, spec: WorkloadSpec) -> WorkloadSpec:
        if len(spec.devices) != 1 or spec.devices[0].milli != 1000 or spec.node != NODE:
            return spec
        return replace(spec, node=name_of(spec.devices[0].index), devices=())

    def go_off(self, server: int) -> None:
        self._emulator.systems._update(UUIDS[server], power_state="Off", pending_power=None)

    def break_site(self) -> None:
        self.is_down = True

    def slow_site(self, seconds: float) -> None:
        self.silence = 0.02 if seconds <= 10 else _WAITS * 3

    def lose_answers(self) -> None:
        self.is_lossy = True

    def heal_site(self) -> None:
        self.is_down = self.is_lossy = False
        self.silence = 0.0

    def close(self) -> None:
        super().close()
        self._server.shutdown()
        self._server.server_close()

    def _start(self, folder: Path) -> None:
        with warnings.catch_warnings():  # of a library that it uses, on a module that Python 3.13 no longer has
            warnings.simplefilter("ignore", DeprecationWarning)
            from sushy_tools.emulator import main
            from sushy_tools.emulator.resources.systems import fakedriver
        site = self

        class Clock:
            @staticmethod
            def time() -> float:
                return site.now

        self._patch.setattr(fakedriver, "time", Clock)
        systems = [
            {"uuid": uuid, "name": name_of(n), "power_state": "Off", "external_notifier": False,
             "nics": [{"mac": f"00:5c:52:31:3a:0{n}", "ip": "172.22.0.1"}]}
            for n, uuid in enumerate(UUIDS)
        ]  # fmt: skip
        app: Any = main.app
        app.config.update(SUSHY_EMULATOR_FAKE_DRIVER=True, SUSHY_EMULATOR_FAKE_SYSTEMS=systems,
                          SUSHY_EMULATOR_STATE_DIR=str(folder))  # fmt: skip
        vars(app).pop("_cache", None)  # what it remembers of the test before
        self._emulator = app
        self._server = WSGIServer(("127.0.0.1", 0), _handler(self))
        self._server.set_app(app)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()


def _handler(site: EmulatorHarness) -> type[WSGIRequestHandler]:
    class Between(WSGIRequestHandler):
        """The line to the emulator: cut, slow, or deaf on the way back."""

        def handle(self) -> None:
            if site.is_down:
                return
            if site.silence > _WAITS:
                time.sleep(_WAITS * 1.2)  # nobody waits any longer
                return
            time.sleep(site.silence)
            line, self.wfile = self.wfile, io.BytesIO()
            super().handle()
            said, self.wfile = self.wfile.getvalue(), line
            if not (site.is_lossy and getattr(self, "command", "GET") != "GET"):
                line.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Tests say what went wrong."""

    return Between
