"""The capability records: complete where they are used, and of one form."""

import pytest

from federation.accelerators.catalogue import (
    PARTITIONED,
    SHARED,
    SLICED,
    SLICING_MODES,
    CapabilityRecord,
    all_records,
    lookup,
)

RECORDS = list(all_records())


def of(record: CapabilityRecord) -> str:
    return f"{record.vendor}/{record.name}"


def test_every_vendor_of_the_mission_is_there() -> None:
    vendors = {record.vendor for record in RECORDS}
    assert vendors >= {
        "nvidia", "amd", "ascend", "cambricon", "hygon", "moore-threads", "iluvatar", "metax", "enflame", "kunlunxin",
    }  # fmt: skip


def test_each_model_is_there_once() -> None:
    names = [(record.vendor, word.lower()) for record in RECORDS for word in {record.name, *record.products}]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("record", RECORDS, ids=of)
def test_a_record_makes_sense(record: CapabilityRecord) -> None:
    assert record.vendor == record.vendor.lower()
    assert set(record.slicing_modes) <= set(SLICING_MODES)
    assert "exclusive" in record.slicing_modes
    assert 1 <= record.smallest_share_milli <= 1000
    # A share of free size needs something that keeps it, and parts need hardware that makes them.
    assert record.can_share is bool({SLICED, SHARED} & set(record.slicing_modes))
    assert (record.most_partitions > 1) is (PARTITIONED in record.slicing_modes)
    assert record.source, "where the figures come from"
    for figure in (record.memory_mib, record.peak_tflops, record.power_watts, record.memory_step_mib):
        assert figure is None or figure > 0
    # A row with its figures in the wrong columns would pass all of the above.
    assert record.memory_mib is None or 8192 <= record.memory_mib <= 1 << 20
    assert record.power_watts is None or 50 <= record.power_watts <= 2000
    assert record.peak_tflops is None or 10 <= record.peak_tflops <= 10_000


@pytest.mark.parametrize(
    ("vendor", "model", "name"),
    [
        ("nvidia", "H100", "H100"),
        ("nvidia", "NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA", "tesla t4", "T4"),
        ("iluvatar", "Iluvatar BI-V150", "BI-V150"),
    ],
)
def test_a_model_is_found_by_its_name_and_by_what_the_vendors_tools_print(vendor: str, model: str, name: str) -> None:
    assert lookup(vendor, model).name == name


def test_a_model_of_another_vendor_is_not_mistaken_for_it() -> None:
    assert lookup("hygon", "K100").memory_mib == 65536
    assert lookup("kunlunxin", "K100").memory_mib is None


def test_an_unknown_model_is_usable_whole() -> None:
    record = lookup("acme", "X1")
    assert (record.vendor, record.name) == ("acme", "X1")
    assert record.slicing_modes == ("exclusive",)
    assert not record.can_share
    assert record.memory_mib is record.peak_tflops is record.power_watts is None
