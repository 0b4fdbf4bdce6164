"""A server from one tenant to the next: prepared, started, given back, wiped, checked."""

import hashlib
import hmac
from dataclasses import replace

import pytest

from federation.drivers.abilities import Power
from federation.drivers.base import Boot, BootFrom, Rejected, Unavailable
from federation.drivers.base import ObservedState as O
from tests.baremetal.bmc import SYSTEM, Bmc, plain_tree
from tests.baremetal.conftest import BOOT, Site

ISO = "https://images.example/install.iso"


def resets(site: Site, server: int = 1) -> list[str]:
    return [body["ResetType"] for method, path, body in site.written(server) if path.endswith(".Reset")]


def test_a_lease_switches_on_and_ends_off_and_wiped(site: Site) -> None:
    assert site.start(site.spec()).state == O.RUNNING
    assert resets(site) == ["On"]
    site.end()
    assert resets(site) == ["On", "GracefulShutdown"]
    assert [name for name, *_ in site.hooks.asked] == ["wipe"]
    assert site.bmcs[0].now_power() == "Off"
    assert list(site.driver().refs()) == []


@pytest.mark.parametrize(
    ("boot", "word"), [(BootFrom.DISK, "Hdd"), (BootFrom.PXE, "Pxe"), (BootFrom.VIRTUAL_MEDIA, "Cd")]
)
def test_it_starts_from_what_was_asked(site: Site, boot: BootFrom, word: str) -> None:
    site.start(site.spec(boot=Boot(boot_from=boot, image_url=ISO if boot == BootFrom.VIRTUAL_MEDIA else "")))
    assert site.bmcs[0].tree[SYSTEM]["Boot"]["BootSourceOverrideTarget"] == word
    inserted = [body["Image"] for _, path, body in site.written() if path.endswith("InsertMedia")]
    assert inserted == ([ISO] if boot == BootFrom.VIRTUAL_MEDIA else [])
    order = [path for _, path, _ in site.written()]
    assert order[-1].endswith(".Reset"), "the power comes last"


def test_nothing_of_a_tenant_stays_in_the_drives(site: Site) -> None:
    site.start(site.spec(boot=Boot(boot_from=BootFrom.VIRTUAL_MEDIA, image_url=ISO)))
    site.end()
    drives = [body for path, body in site.bmcs[0].tree.items() if "/VirtualMedia/" in path]
    assert [drive["Inserted"] for drive in drives] == [False, False]
    assert site.bmcs[0].tree[SYSTEM]["Boot"]["BootSourceOverrideEnabled"] == "Disabled"


def test_who_does_not_shut_down_is_cut_after_the_grace(site: Site) -> None:
    site.start(site.spec(grace_seconds=20))
    site.bmcs[0].is_deaf_to_shutdown = True
    began = site.now
    site.end()
    assert resets(site)[1:] == ["GracefulShutdown", "ForceOff"]
    assert site.now - began >= 20


def test_a_used_server_without_a_wipe_hook_is_nobody_elses(site: Site) -> None:
    site.settings["hooks"] = {}
    info = site.driver().check()
    assert info.is_degraded and "no wipe hook" in info.message
    site.start(site.spec())
    for _ in range(60):
        seen = site.driver().remove("lease-1")
        site.now += 1
    assert (seen.state, seen.reason) == (O.STOPPING, "NotWiped")
    assert 'choose wipe "none"' in seen.message
    with pytest.raises(Rejected) as refused:
        site.driver().ensure(site.spec("lease-2"))
    assert refused.value.reason == "DeviceBusy"
    site.settings["wipe"] = "none"
    site.end()
    assert site.driver().ensure(site.spec("lease-2")).state == O.STARTING


def test_a_server_that_was_never_touched_needs_no_wiping(site: Site) -> None:
    assert site.driver().ensure(site.spec(hold=True)).state == O.STARTING
    assert site.driver().remove("lease-1").state == O.ABSENT
    assert (site.written(), site.hooks.asked) == ([], [])


def test_wiping_takes_its_time_and_may_be_refused(site: Site) -> None:
    site.settings["hooks"] = site.hooks.settings("wipe", "check")
    site.hooks.answers["wipe"] = [(202, {"message": "40 %"}), (503, {}), (200, {})]
    site.hooks.answers["check"] = [(409, {"message": "a disk is left"})]
    site.start(site.spec())
    told = []
    for _ in range(12):
        seen = site.driver().remove("lease-1")
        told.append((seen.state, seen.reason, seen.message))
        site.now += 1
    assert [step for step in dict.fromkeys(told) if step[1]] == [
        (O.STOPPING, "Wiping", "40 %"),
        (O.STOPPING, "Wiping", "It answered 503."),
        (O.STOPPING, "NotWiped", "The check hook refused: a disk is left (409)"),
    ]
    keys = {(name, headers["Idempotency-Key"]) for name, _, headers, _ in site.hooks.asked}
    assert len(keys) == 2, "asked again with the same key"
    site.hooks.answers["check"] = [(200, {})]
    site.end()


def test_a_hook_is_told_who_and_it_is_signed(site: Site) -> None:
    site.settings["hooks"] = site.hooks.settings("prepare", "wipe")
    site.start(site.spec(boot=BOOT))
    site.end()
    (_, prepare, headers, raw), *_, (_, wipe, _, _) = site.hooks.asked
    assert (prepare["machine"], prepare["ref"], prepare["epoch"], prepare["generation"]) == ("srv-1", "lease-1", 1, 1)
    assert prepare["ssh_keys"] == ["ssh-ed25519 AAAA ada"]
    assert prepare["image_url"] == "https://images/x.qcow2"
    assert "ssh_keys" not in wipe and "user_data" not in wipe
    signed = hmac.new(b"s" * 32, headers["X-Aquifer-Timestamp"].encode() + b"." + raw, hashlib.sha256).hexdigest()
    assert headers["X-Aquifer-Signature"] == f"sha256={signed}"
    assert "s" * 32 not in raw.decode()


def test_the_seed_of_a_prepare_hook_is_put_in(site: Site) -> None:
    site.settings["hooks"] = site.hooks.settings("prepare", "wipe")
    seed = "https://hooks.example/seed.iso"
    site.hooks.answers["prepare"] = [(202, {}), (200, {"seed": seed})]
    first = site.driver().ensure(site.spec(boot=BOOT))
    assert (first.state, first.reason, site.written()) == (O.STARTING, "Preparing", [])
    site.start(site.spec(boot=BOOT))
    assert [body["Image"] for _, path, body in site.written() if path.endswith("InsertMedia")] == [seed]


def test_a_refusal_to_prepare_ends_the_lease_and_the_server_is_wiped(site: Site) -> None:
    site.settings["hooks"] = site.hooks.settings("prepare", "wipe")
    site.hooks.answers["prepare"] = [(422, {"message": "no such image"})]
    seen = site.driver().ensure(site.spec(boot=BOOT))
    assert (seen.state, seen.reason) == (O.FAILED, "PrepareRefused")
    assert "no such image" in seen.message
    site.end()
    assert [name for name, *_ in site.hooks.asked] == ["prepare", "wipe"]


def test_what_cannot_reach_the_server_is_refused_and_not_dropped(site: Site) -> None:
    for boot in (replace(BOOT, image_url=""), Boot(image_url=ISO)):
        with pytest.raises(Rejected) as refused:
            site.driver().ensure(site.spec(boot=boot))
        assert refused.value.reason == "NoInstallHook"
    assert site.written() == []


def test_a_lease_is_the_whole_server(site: Site) -> None:
    whole = site.spec()
    for wrong in (
        replace(whole, devices=whole.devices[:1]),
        replace(whole, devices=(replace(whole.devices[0], milli=500), whole.devices[1])),
        replace(whole, devices=()),
    ):
        with pytest.raises(Rejected) as refused:
            site.driver().ensure(wrong)
        assert refused.value.reason == "WholeServerOnly"


def test_somebody_elses_running_server_is_left_alone(site: Site) -> None:
    site.bmcs[0].power = "On"
    nodes = {node.name: node for node in site.driver().inventory()}
    assert (nodes["srv-1"].is_ready, nodes["srv-2"].is_ready) == (False, True)
    with pytest.raises(Rejected) as refused:
        site.driver().ensure(site.spec())
    assert (refused.value.reason, site.written()) == ("ServerInUse", [])
    site.settings["takes_running"] = True
    site.start(site.spec("lease-2"))
    assert resets(site) == ["ForceOff", "On"]


def test_a_leased_server_stays_leased_while_it_is_off(site: Site) -> None:
    site.start(site.spec())
    site.bmcs[0].power = "Off"
    site.now += 3600
    seen = site.driver().observe("lease-1")
    assert (seen.state, seen.reason, seen.ran_seconds) == (O.RUNNING, "PoweredOff", pytest.approx(3600, abs=3))


def test_other_work_has_ended_when_it_switched_itself_off_for_good(site: Site) -> None:
    site.start(site.spec(kind="training"))
    site.now += 50
    before = site.driver().observe("lease-1")
    site.bmcs[0].power = "Off"
    assert site.driver().observe("lease-1").state == O.RUNNING, "it may be a restart"
    site.now += 119
    assert site.driver().observe("lease-1").state == O.RUNNING
    site.now += 2
    seen = site.driver().observe("lease-1")
    assert (seen.state, seen.exit_code, seen.ran_seconds) == (O.SUCCEEDED, 0, before.ran_seconds)


def test_work_whose_time_is_over_is_switched_off(site: Site) -> None:
    site.start(site.spec(kind="training", max_seconds=100))
    site.now += 101
    site.driver().observe("lease-1")
    assert resets(site)[-1] == "GracefulShutdown"
    site.now += 5
    seen = site.driver().observe("lease-1")
    assert (seen.state, seen.reason, seen.ran_seconds) == (O.FAILED, "TimeLimit", 100.0)


def test_a_word_that_was_not_heard_is_said_again_only_after_a_while(site: Site) -> None:
    site.bmcs[0].delay = 1e9
    for _ in range(29):
        site.driver().ensure(site.spec())
        site.now += 1
    assert resets(site) == ["On"]
    site.now += 2
    site.driver().ensure(site.spec())
    assert resets(site) == ["On", "On"]


def test_what_is_about_to_come_on_is_not_wiped_under_way(site: Site) -> None:
    site.bmcs[0].delay = 20
    site.driver().ensure(site.spec())
    for _ in range(15):
        assert site.driver().remove("lease-1").state == O.STOPPING
        site.now += 1
    assert site.hooks.asked == []
    site.end()
    assert site.bmcs[0].now_power() == "Off"


def test_two_hands_do_not_touch_one_server(site: Site) -> None:
    site.start(site.spec())
    assert site.ledger.begin_step("srv-1")
    for call in (lambda: site.driver().remove("lease-1"), lambda: site.driver().set_power("srv-1", Power.OFF)):
        with pytest.raises(Unavailable, match="Something else is being done"):
            call()
    site.now += 13
    assert site.driver().remove("lease-1").state == O.STOPPING, "whoever had it is dead"


def test_a_mark_of_another_hub_is_respected(site: Site) -> None:
    site.settings["asset_tag"] = True
    site.bmcs[0].tree[SYSTEM]["AssetTag"] = "aquifer:other-lease"
    with pytest.raises(Rejected) as refused:
        site.driver().ensure(site.spec())
    assert refused.value.reason == "DeviceBusy"
    site.start(site.spec("lease-2", server=2))
    assert site.bmcs[1].tree[SYSTEM]["AssetTag"] == "aquifer:lease-2"
    site.end("lease-2")
    assert site.bmcs[1].tree[SYSTEM]["AssetTag"] == ""


def test_an_asset_tag_is_left_alone_unless_chosen(site: Site) -> None:
    site.bmcs[0].tree[SYSTEM]["AssetTag"] = "rack 7 unit 12"
    site.start(site.spec())
    site.end()
    assert site.bmcs[0].tree[SYSTEM]["AssetTag"] == "rack 7 unit 12"


def test_a_machine_that_is_no_longer_named_keeps_its_lease(site: Site) -> None:
    site.start(site.spec())
    machines = site.settings["machines"]
    site.settings["machines"] = machines[1:]
    with pytest.raises(Unavailable):
        site.driver().observe("lease-1")
    with pytest.raises(Unavailable, match="no longer among the servers"):
        site.driver().remove("lease-1")
    site.settings["machines"] = machines
    site.end()


def test_an_operator_switches_and_is_heard_the_second_time(site: Site) -> None:
    site.bmcs[0].power, site.bmcs[0].is_deaf_to_shutdown = "On", True
    assert site.driver().power("srv-1") == Power.ON
    assert site.driver().set_power("srv-1", Power.OFF) == Power.ON
    site.now += 31
    site.driver().set_power("srv-1", Power.OFF)
    site.now += 3
    assert site.driver().power("srv-1") == Power.OFF
    assert resets(site) == ["GracefulShutdown", "ForceOff"]
    site.driver().set_power("srv-1", Power.ON)
    site.now += 3
    assert site.driver().power("srv-1") == Power.ON
    with pytest.raises(Rejected):
        site.driver().power("no such server")


def test_a_drive_too_few_ends_the_lease_in_words(site: Site) -> None:
    tree = plain_tree()
    del tree["/redfish/v1/Managers/1/VirtualMedia"]
    bare = Bmc(lambda: site.now, tree)
    site.bmcs.append(bare)
    site.settings["machines"].append(bare.settings("srv-3"))
    boot = Boot(boot_from=BootFrom.VIRTUAL_MEDIA, image_url=ISO)
    seen = site.driver().ensure(replace(site.spec(server=3, boot=boot), devices=()))
    assert (seen.state, seen.reason) == (O.FAILED, "NotSupported")
    assert "0 drives" in seen.message
