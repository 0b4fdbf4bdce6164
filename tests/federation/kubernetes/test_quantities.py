"""Quantities: exact, rounded up for what is asked and down for what is there, and never a surprise."""

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.drivers.kubernetes.quantities import exact, mib, milli, whole


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("100m", Fraction(1, 10)), ("1.5Gi", 1536 << 20), ("2e3", 2000), ("2E3", 2000), ("12E", 12 * 10**18),
        ("12e-1", Fraction(6, 5)), ("1Ki", 1024), ("1k", 1000), (".5", Fraction(1, 2)), ("1.", 1), ("+3", 3),
        ("500u", Fraction(1, 2000)), ("1n", Fraction(1, 10**9)), ("7Ei", 7 << 60), (96, 96), ("0.1", Fraction(1, 10)),
    ],
)  # fmt: skip
def test_every_form_is_read_exactly(text: object, value: int | Fraction) -> None:
    assert exact(text) == value


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "-1", "-100m", "1,5", "1.5.2", "0x10", "NaN", "inf", "1K", "1KiB", "1Gib", "e3", "1e", "1e3Ki",
     "٣", "1e99", "9" * 60, "9" * 30, "9999999Ei", None, True, False, 1.5, [], {}, b"1", -3],
)  # fmt: skip
def test_garbage_and_less_than_nothing_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        exact(text)


def test_what_is_asked_is_rounded_up_and_what_is_there_down() -> None:
    assert (milli("1500u"), milli("1500u", up=True)) == (1, 2)
    assert (mib("1000Ki"), mib("1000Ki", up=True)) == (0, 1)
    assert (mib("16413896Ki"), mib("16413896Ki", up=True)) == (16029, 16030)
    assert milli("4") == milli("4", up=True) == 4000


def test_devices_cannot_be_divided() -> None:
    assert whole("8") == whole("8000m") == 8
    with pytest.raises(ValueError, match="whole"):
        whole("1500m")


@given(st.integers(0, 10**15), st.sampled_from(["", "k", "Ki", "m", "Mi"]))
def test_rounding_is_never_off_by_more_than_one(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    value = exact(text)
    assert mib(text) <= value / 2**20 <= mib(text, up=True) <= mib(text) + 1
    assert milli(text) <= value * 1000 <= milli(text, up=True) <= milli(text) + 1


@given(st.text(max_size=20))
def test_no_text_is_anything_but_an_amount_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert exact(text) >= 0
