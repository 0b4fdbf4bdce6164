"""Controllers that are slow, half made, dead, strange or somebody else's: what is theirs stays theirs."""

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from federation.drivers.base import Health, Rejected, Unavailable
from federation.drivers.base import ObservedState as O
from federation.drivers.redfish import wire
from federation.drivers.redfish.devices import card_of, card_of_slot, devices_of
from federation.drivers.redfish.driver import RedfishDriver
from tests.baremetal.bmc import SYSTEM, Bmc, plain_tree
from tests.baremetal.conftest import Site
from tests.certificates import pair

AT = datetime(2027, 1, 15, 12, tzinfo=UTC)


def names(site: Site) -> dict[str, tuple[bool, str, int]]:
    return {n.name: (n.is_ready, n.message, len(n.devices)) for n in site.driver().inventory()}


# -- one dead among others ---------------------------------------------------------------------------------


def test_one_dead_controller_takes_no_other_down(site: Site) -> None:
    assert all(ready for ready, *_ in names(site).values())
    site.bmcs[0].is_down = True
    seen = names(site)
    assert seen["srv-2"] == (True, "", 2)
    is_ready, message, devices = seen["srv-1"]
    assert (is_ready, devices) == (False, 2), "it stays, with what it was last seen to have"
    assert "does not answer" in message
    info = site.driver().check()
    assert info.is_degraded and "1 of 2" in info.message and "srv-1" in info.message
    assert {s.uuid for s in site.driver().usage(AT, AT)} == {"S1-CARD-0", "S1-CARD-1"}


def test_work_on_a_silent_server_is_no_proof_of_anything(site: Site) -> None:
    site.start(site.spec("a", server=1))
    site.start(site.spec("b", server=2))
    site.bmcs[0].is_down = True
    seen = {one.ref: one for one in site.driver().observe_many(["a", "b", "nobody"])}
    assert (seen["a"].state, seen["a"].reason) == (O.BROKEN, "NodeMissing")
    assert (seen["b"].state, "nobody" in seen) == (O.RUNNING, False)


def test_a_server_that_was_never_seen_is_shown_and_takes_nothing(site: Site) -> None:
    site.bmcs[0].is_down = True
    assert names(site)["srv-1"][0] is False
    with pytest.raises(Unavailable):
        site.driver().ensure(site.spec())
    assert site.ledger.there() == []


def test_many_silent_ones_are_asked_side_by_side(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "REQUEST_SECONDS", 0.5)
    site.bmcs[0].silence = 2
    slow = site.settings["machines"][0]
    site.settings["machines"] += [{**slow, "name": f"slow-{n}"} for n in range(20)]
    began = time.monotonic()
    assert names(site)["srv-2"][0]
    assert time.monotonic() - began < 3


def test_a_controller_that_dribbles_keeps_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is no answer."""
    monkeypatch.setattr(wire, "REQUEST_SECONDS", 0.5)
    with dribbling() as port:
        site.settings["machines"] = [{"name": "x", "server": f"http://127.0.0.1:{port}", "address": "127.0.0.1"}]
        began = time.monotonic()
        with pytest.raises(Unavailable):
            site.driver().check()
        assert time.monotonic() - began < 3


class dribbling:  # reads as what it is: with dribbling()
    def __enter__(self) -> int:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ends = threading.Event()
        self._thread.start()
        return int(self._socket.getsockname()[1])

    def _run(self) -> None:
        line, _ = self._socket.accept()
        with line:
            try:
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
                while not self._ends.wait(0.05):
                    line.sendall(b" ")
            except OSError:
                return  # it was given up, as it should be

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._socket.close()
        self._thread.join(5)


# -- half made ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 405, 500, 501, 502])
def test_parts_that_a_controller_does_not_have_are_left_out(site: Site, status: int) -> None:
    bmc = site.bmcs[0]
    bmc.statuses = {
        path: status
        for path in bmc.tree
        if path not in ("/redfish/v1", "/redfish/v1/Systems", SYSTEM) and "GPU1" not in path
        and not path.endswith("/Processors")
    }  # fmt: skip
    assert names(site)["srv-1"] == (True, "", 1)
    assert [r.value for r in site.driver().sensors("srv-1")] == [301.5, 40.0]


def test_a_busy_controller_is_not_taken_for_one_without_cards(site: Site) -> None:
    site.bmcs[0].statuses = {f"{SYSTEM}/Processors": 503}
    is_ready, message, _ = names(site)["srv-1"]
    assert not is_ready and "503" in message
    site.bmcs[0].statuses = {}
    assert names(site)["srv-1"] == (True, "", 2)


@pytest.mark.parametrize(
    "body",
    [[], "text", None, {"Members": "none"}, {"Members": [1, None, {"@odata.id": 5}]}, {"Members": [{}]}],
    ids=str,
)
def test_what_is_of_another_shape_is_not_believed(site: Site, body: Any) -> None:
    site.bmcs[0].tree[f"{SYSTEM}/Processors"] = body if isinstance(body, dict) else {"Members": body}
    assert names(site)["srv-1"][2] == 0


@pytest.mark.parametrize(
    "link", ["http://other.example/redfish/v1/x", "//other.example/redfish/v1/x", "/etc/passwd", "/redfish/v1/../../x",
             "/redfish/v1/a b", "/redfish/v1/a\r\nHost: x", 7, None],
)  # fmt: skip
def test_links_that_lead_away_are_not_followed(link: Any) -> None:
    assert wire.path_of({"@odata.id": link}) == ""


def test_a_collection_is_read_page_by_page_and_not_for_ever(site: Site) -> None:
    place = f"{SYSTEM}/Processors"
    tree = site.bmcs[0].tree
    tree[place] = {"Members": [{"@odata.id": f"{place}/GPU0"}], "Members@odata.nextLink": f"{place}?$skip=1"}
    tree[f"{place}?$skip=1"] = {"Members": [{"@odata.id": f"{place}/GPU1"}]}
    assert names(site)["srv-1"][2] == 2
    tree[place]["Members@odata.nextLink"] = place
    site.now += 601  # the picture is looked at anew
    assert names(site)["srv-1"][0]


def test_other_servers_of_one_controller_are_not_taken_for_its_parts(site: Site) -> None:
    tree = site.bmcs[0].tree
    other = "/redfish/v1/Systems/2"
    tree["/redfish/v1/Systems"]["Members"].append({"@odata.id": other})
    tree[other] = {**tree[SYSTEM], "Id": "2"}
    assert names(site)["srv-1"][2] == 2
    del tree[other]["Actions"]
    site.now += 601
    assert names(site)["srv-1"][2] == 4, "what cannot be switched by itself is a board of this one"


def test_a_wrong_password_is_said_and_not_repeated(site: Site) -> None:
    site.secrets["password"] = "wrong"
    with pytest.raises(Unavailable) as silent:
        site.driver().check()
    assert "wrong" not in str(silent.value)
    assert "wrong" not in repr(site.driver()._machines)


def test_a_server_without_its_credential_is_not_asked(site: Site) -> None:
    site.secrets = {}
    with pytest.raises(Unavailable, match="no user name or password"):
        site.driver().check()


# -- whom it speaks to ----------------------------------------------------------------------------------------


@pytest.fixture
def secure(site: Site, tmp_path: Path) -> Iterator[tuple[Site, Bmc, str]]:
    now = datetime.now(UTC)
    cert, key = pair("bmc", start=now.replace(year=now.year - 1), end=now.replace(year=now.year + 1))
    for name, text in (("crt", cert), ("key", key)):
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    bmc = Bmc(lambda: site.now, plain_tree(), tls=context)
    site.settings |= {"machines": [bmc.settings("tls")], "plain_http": False, "hooks": {}, "wipe": "none"}
    pin = hashlib.sha256(x509.load_pem_x509_certificate(cert.encode()).public_bytes(Encoding.DER)).hexdigest()
    yield site, bmc, pin
    bmc.close()


def test_a_pinned_certificate_is_enough(secure: tuple[Site, Bmc, str]) -> None:
    site, _, pin = secure
    site.settings["machines"][0]["fingerprint"] = pin.upper()
    assert site.driver().check().version == "Redfish 1.15.0"


def test_another_certificate_is_told_nothing(secure: tuple[Site, Bmc, str]) -> None:
    site, bmc, pin = secure
    site.settings["machines"][0]["fingerprint"] = pin[::-1]
    with pytest.raises(Unavailable, match="another certificate than the pinned one"):
        site.driver().power("tls")
    assert bmc.heard == [], "not even the password"


def test_a_certificate_that_nobody_vouches_for_is_not_believed(secure: tuple[Site, Bmc, str]) -> None:
    site, *_ = secure
    with pytest.raises(Unavailable):
        site.driver().check()
    with pytest.raises(Unavailable, match="not trusted"):
        site.driver().power("tls")


def test_plain_http_is_off_unless_it_was_chosen(site: Site) -> None:
    site.settings["plain_http"] = "yes"
    with pytest.raises(Unavailable, match="Plain http is off"):
        site.driver().check()


def test_a_name_without_a_vetted_address_is_never_looked_up(site: Site) -> None:
    site.settings["machines"] = [{"name": "x", "server": "https://bmc.example", "address": ""}]
    with pytest.raises(Unavailable, match="no address"):
        site.driver().check()


def test_a_hook_without_its_secret_is_not_asked(site: Site) -> None:
    del site.secrets["hook_secret"]
    assert "hook_secret" in site.driver().check().message


# -- which card is which ---------------------------------------------------------------------------------------


def processor(**facts: Any) -> dict[str, Any]:
    return {"ProcessorType": "GPU", "Manufacturer": "NVIDIA", "Model": "NVIDIA H200", "Id": "G", **facts}


def test_a_card_has_the_name_that_its_own_driver_gives_it() -> None:
    uuid = "FFD6582A-64DE-B17E-AD24-AF5A28AED641"
    card = card_of(processor(UUID=uuid, SerialNumber="1"))
    assert card is not None
    assert [d.uuid for d in devices_of("srv", [card])] == [f"GPU-{uuid.lower()}"]
    assert (card.model, card.memory_mib) == ("H200", 144384), "the catalogue knows what the controller calls 0 MiB"


@pytest.mark.parametrize("uuid", ["", "none", "00000000-0000-0000-0000-000000000000", "f" * 32])
def test_a_uuid_that_names_nothing_is_not_used(uuid: str) -> None:
    cards = [card_of(processor(UUID=uuid, SerialNumber=serial, Id=serial)) for serial in ("A-1001", "A-1002")]
    assert [d.uuid for d in devices_of("srv", [c for c in cards if c])] == ["A-1001", "A-1002"]


def test_cards_that_share_all_their_names_are_only_counted() -> None:
    cards = [card_of(processor(UUID="1" * 32, SerialNumber="BOARD-7", Id=f"G{n}")) for n in range(2)]
    seen = devices_of("srv", [c for c in cards if c])
    assert [(d.uuid, d.is_identified) for d in seen] == [("srv/G0", False), ("srv/G1", False)]


def test_other_processors_empty_sockets_and_sick_cards() -> None:
    assert card_of(processor(ProcessorType="CPU")) is None
    assert card_of(processor(Status={"State": "Absent"})) is None
    sick = card_of(processor(Status={"Health": "Critical"}))
    odd = card_of(processor(Status={"Health": "Meh"}, Manufacturer=None, Model=7))
    assert sick is not None and odd is not None
    assert (sick.health, odd.health, odd.vendor) == (Health.UNHEALTHY, Health.UNKNOWN, "unknown")


def test_cards_in_slots_where_no_processors_are_listed(site: Site) -> None:
    tree = site.bmcs[0].tree
    del tree[SYSTEM]["Processors"]
    slots = {"1": ("NVIDIA Corporation", "NVIDIA L40S", "DisplayController"),
             "2": ("NVIDIA Corporation", "ConnectX-7", "NetworkController"),
             "3": ("ASPEED", "AST2600", "DisplayController")}  # fmt: skip
    tree[SYSTEM]["PCIeDevices"] = [{"@odata.id": f"/redfish/v1/D/{n}"} for n in slots]
    for n, (maker, model, kind) in slots.items():
        place = f"/redfish/v1/D/{n}"
        tree[place] = {"Id": n, "Manufacturer": maker, "Model": model, "SerialNumber": f"SER-{n}",
                       "PCIeFunctions": {"@odata.id": f"{place}/F"}}  # fmt: skip
        tree[f"{place}/F"] = {"Members": [{"@odata.id": f"{place}/F/0"}]}
        tree[f"{place}/F/0"] = {"DeviceClass": kind}
    (node, _) = site.driver().inventory()
    assert [(d.uuid, d.model, d.memory_mib) for d in node.devices] == [("SER-1", "L40S", 49152)]
    assert card_of_slot({"Manufacturer": "NVIDIA"}, {}) is None


def test_figures_of_a_leased_server_are_its_own(site: Site) -> None:
    list(site.driver().inventory())
    site.start(site.spec())
    samples = list(site.driver().usage(AT, AT))
    assert [s.power_watts for s in samples if s.ref == "lease-1"] == [1250.0]
    assert {s.uuid: s.power_watts for s in samples if s.uuid.startswith("S0")} == {
        "S0-CARD-0": 300.5,
        "S0-CARD-1": 301.5,
    }


def test_sensors_by_the_old_schema(site: Site) -> None:
    readings = {r.name: r for r in site.driver().sensors("srv-1")}
    assert (readings["1 Server"].value, readings["1 Inlet"].unit) == (1250.0, "Cel")
    assert (readings["1 Fan 1"].unit, readings["1 Fan 1"].is_healthy) == ("{rpm}", False)
    assert "1 Absent" not in readings


def test_a_strange_list_of_machines_is_no_crash(site: Site) -> None:
    for machines in (None, "x", [1, {}, {"name": ""}, {"name": 7}]):
        site.settings["machines"] = machines
        with pytest.raises(Unavailable, match="names no servers"):
            site.driver().check()
        with pytest.raises(Rejected):
            site.driver().ensure(site.spec())
        assert isinstance(site.driver(), RedfishDriver)
