"""What devices and work use, on every kind of site."""

from datetime import timedelta

from federation.drivers.base import UsageSample
from tests.contracts.harness import CARDS, Harness, spec, uuid_of
from tests.contracts.test_drivers import AT, end, start


def test_usage_names_devices_that_exist_and_possible_figures(site: Harness) -> None:
    start(site, spec())
    samples = [s for s in site.driver().usage(AT - timedelta(seconds=2), AT) if s.uuid]
    assert sorted(s.uuid for s in samples) == ([uuid_of(i) for i in range(CARDS)] if site.measures else [])
    for sample in samples:
        assert AT - timedelta(seconds=2) <= sample.at <= AT
        assert sample.busy_percent is None or 0 <= sample.busy_percent <= 100
        assert sample.memory_used_mib is None or 0 <= sample.memory_used_mib <= 81920


def test_what_running_work_uses_is_possible(site: Harness) -> None:
    start(site, spec())

    def of_work() -> list[UsageSample]:
        return [s for s in site.driver().usage(AT - timedelta(seconds=2), AT) if s.ref]

    of_work()
    site.advance(2)
    for sample in (found := of_work()):
        uses = (
            sample.cpu_milli, sample.memory_used_mib, sample.disk_read_kibps, sample.disk_write_kibps,
            sample.net_in_kibps, sample.net_out_kibps,
        )  # fmt: skip
        assert sample.ref == "work-1" and all(use is None or 0 <= use < 2**31 for use in uses)
    assert len(found) <= 1
    end(site, "work-1")
    assert of_work() == []
