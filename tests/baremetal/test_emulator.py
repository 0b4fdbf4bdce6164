"""The controllers of OpenStack's emulator: power that comes some seconds later, and much that is not there (501, 404).

It runs as it is, in this process, so that its random delays are counted by a clock that is moved.
"""

import threading
import warnings
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest

from federation.drivers.abilities import Power
from federation.drivers.base import Boot, BootFrom, Observation, Unavailable
from federation.drivers.base import ObservedState as O
from federation.drivers.redfish.driver import RedfishDriver
from tests.baremetal.conftest import Site

pytestmark = pytest.mark.baremetal
UUIDS = [f"27946b59-9e44-4fa7-8e91-f3527a1ef0{n:02d}" for n in range(3)]


class Emulated(Site):
    """Three servers behind one controller, each by the path of its system."""

    def __init__(self, folder: Any, patch: pytest.MonkeyPatch) -> None:
        with warnings.catch_warnings():  # of a library that it uses, on a module that Python 3.13 no longer has
            warnings.simplefilter("ignore", DeprecationWarning)
            from sushy_tools.emulator import main
            from sushy_tools.emulator.resources.systems import fakedriver

        super().__init__(servers=0)
        site = self

        class Clock:
            @staticmethod
            def time() -> float:
                return site.now

        patch.setattr(fakedriver, "time", Clock)
        systems = [
            {"uuid": uuid, "name": f"srv-{n + 1}", "power_state": "Off", "external_notifier": False,
             "nics": [{"mac": f"00:5c:52:31:3a:0{n}", "ip": "172.22.0.1"}]}
            for n, uuid in enumerate(UUIDS)
        ]  # fmt: skip
        app = main.app
        app.config.update(SUSHY_EMULATOR_FAKE_DRIVER=True, SUSHY_EMULATOR_FAKE_SYSTEMS=systems,
                          SUSHY_EMULATOR_STATE_DIR=str(folder))  # fmt: skip
        vars(app).pop("_cache", None)  # what it remembers of the test before
        self._wsgi = _server(app)
        self.port = self._wsgi.server_address[1]
        self.settings["machines"] = [
            {"name": f"srv-{n + 1}", "server": f"http://127.0.0.1:{self.port}", "address": "127.0.0.1",
             "system": f"/redfish/v1/Systems/{uuid}"}
            for n, uuid in enumerate(UUIDS)
        ]  # fmt: skip

    def spec(self, ref: str = "lease-1", server: int = 1, **changes: Any) -> Any:
        return super().spec(ref, server, **{"devices": (), **changes})

    def close(self) -> None:
        super().close()
        self._wsgi.shutdown()
        self._wsgi.server_close()


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Tests say what went wrong."""


def _server(app: Any) -> WSGIServer:
    server = WSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(app)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture
def emulated(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    made = Emulated(tmp_path, monkeypatch)
    yield made
    made.close()


def test_what_it_does_not_have_is_left_out(emulated: Emulated) -> None:
    info = emulated.driver().check()
    assert (info.version, info.is_degraded) == ("Redfish 1.5.0", False)
    nodes = list(emulated.driver().inventory())
    assert [(n.name, n.is_ready, n.devices) for n in nodes] == [(f"srv-{n}", True, ()) for n in (1, 2, 3)]
    assert [n.labels["mac"] for n in nodes] == [f"00:5c:52:31:3a:0{n}" for n in range(3)]
    assert list(emulated.driver().sensors("srv-1")) is not None


def test_power_comes_later_and_is_waited_for_by_looking(emulated: Emulated) -> None:
    driver = emulated.driver()
    assert driver.power("srv-2") == Power.OFF
    assert driver.set_power("srv-2", Power.ON) == Power.OFF
    emulated.now += 12
    assert driver.power("srv-2") == Power.ON
    assert [driver.power(f"srv-{n}") for n in (1, 3)] == [Power.OFF, Power.OFF]


def test_a_lease_from_off_to_off(emulated: Emulated) -> None:
    first = emulated.driver().ensure(emulated.spec(boot=Boot(boot_from=BootFrom.PXE)))
    assert (first.state, first.reason) == (O.STARTING, "PoweringOn")
    began = emulated.now
    emulated.start(emulated.spec(boot=Boot(boot_from=BootFrom.PXE)))
    assert 0 < emulated.now - began <= 12
    emulated.now += 60
    seen = emulated.driver().observe("lease-1")
    assert seen.ran_seconds == pytest.approx(60, abs=0.1)
    assert emulated.driver().remove("lease-1").state == O.STOPPING
    assert emulated.end() == Observation("lease-1", O.ABSENT)
    assert emulated.driver().power("srv-1") == Power.OFF
    assert [name for name, *_ in emulated.hooks.asked] == ["wipe"]


def test_three_servers_of_one_controller_are_three(emulated: Emulated) -> None:
    for n in (1, 2, 3):
        emulated.start(emulated.spec(f"lease-{n}", server=n))
    refs = [f"lease-{n}" for n in (1, 2, 3)]
    assert [seen.state for seen in emulated.driver().observe_many(refs)] == [O.RUNNING] * 3
    emulated.end("lease-2")
    assert sorted(emulated.driver().refs()) == ["lease-1", "lease-3"]


def test_an_image_is_put_in_by_its_address_or_the_lease_ends_in_words(emulated: Emulated) -> None:
    """The emulator fetches the image, and nobody is there. A controller that refuses is asked again; nothing runs."""
    boot = Boot(boot_from=BootFrom.VIRTUAL_MEDIA, image_url="http://127.0.0.1:9/no-such.iso")
    driver: RedfishDriver = emulated.driver()
    with pytest.raises(Unavailable):
        driver.ensure(emulated.spec(boot=boot))
    assert emulated.driver().power("srv-1") == Power.OFF
    emulated.end()
