"""Secrets at rest: bound to their place, under keys that can be changed while everything runs."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.vault import CannotOpen, Key, Vault, derived_key, read_keys

OLD, NEW = Key(b"o" * 32), Key(b"n" * 32)
PLACE = ("cluster-1", "token", "3")


def test_what_is_sealed_opens_in_its_place_and_shows_nothing() -> None:
    vault = Vault([OLD])
    sealed = vault.seal(b"canary", *PLACE)
    assert vault.open(sealed, *PLACE) == b"canary"
    assert sealed != vault.seal(b"canary", *PLACE), "twice the same secret does not look the same"
    raw = base64.urlsafe_b64decode(sealed.split(".")[2])
    for shown in (sealed.encode(), raw, raw[::-1], repr(vault).encode(), repr(OLD).encode()):
        assert b"canary" not in shown
        assert b"oooooooo" not in shown


@pytest.mark.parametrize(
    "other",
    [
        ("cluster-2", "token", "3"),
        ("cluster-1", "ca", "3"),
        ("cluster-1", "token", "4"),
        ("cluster-1token", "3"),
        ("cluster-1", "token3"),
        ("cluster-1", "token", "3", "x"),
        ("token", "cluster-1", "3"),
    ],
)
def test_in_any_other_place_it_does_not_open(other: tuple[str, ...]) -> None:
    sealed = Vault([OLD]).seal(b"canary", *PLACE)
    with pytest.raises(CannotOpen):
        Vault([OLD]).open(sealed, *other)


@given(st.lists(st.text(min_size=1), min_size=1), st.lists(st.text(min_size=1), min_size=1))
def test_no_two_places_are_the_same(one: list[str], other: list[str]) -> None:
    sealed = Vault([OLD]).seal(b"canary", *one)
    if one == other:
        assert Vault([OLD]).open(sealed, *other) == b"canary"
    else:
        with pytest.raises(CannotOpen):
            Vault([OLD]).open(sealed, *other)


@pytest.mark.parametrize("place", [(), ("",), ("cluster", "")])
def test_a_place_has_to_be_said(place: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="place"):
        Vault([OLD]).seal(b"x", *place)


def test_what_was_changed_does_not_open() -> None:
    vault = Vault([OLD, NEW])
    sealed = vault.seal(b"canary", *PLACE)
    form, key, text = sealed.split(".")
    raw = bytearray(base64.urlsafe_b64decode(text))
    for position in range(len(raw)):
        raw[position] ^= 1
        with pytest.raises(CannotOpen):
            vault.open(f"{form}.{key}.{base64.urlsafe_b64encode(bytes(raw)).decode()}", *PLACE)
        raw[position] ^= 1
    for odd in ("", "x", "v1", "v1.", f"v1.{key}", f"v1.{key}.", f"v1.{key}.!", f"v2.{key}.{text}",
                f"v1.{NEW.id}.{text}", f"{sealed}=", f"v1.{key}.{text[:8]}", f"v1.{key}.字",
                f"v1..{text}"):  # fmt: skip
        with pytest.raises(CannotOpen) as caught:
            vault.open(odd, *PLACE)
        assert "canary" not in str(caught.value)


def test_keys_are_changed_while_both_are_there() -> None:
    before, both, after = Vault([OLD]), Vault([NEW, OLD]), Vault([NEW])
    sealed = before.seal(b"canary", *PLACE)
    assert both.open(sealed, *PLACE) == b"canary"
    assert (before.is_current(sealed), both.is_current(sealed)) == (True, False)
    fresh = both.reseal(sealed, *PLACE)
    assert both.is_current(fresh)
    assert after.open(fresh, *PLACE) == b"canary"
    for vault, text in ((after, sealed), (before, fresh)):
        with pytest.raises(CannotOpen, match="key"):
            vault.open(text, *PLACE)
    with pytest.raises(CannotOpen):
        both.reseal(sealed, "elsewhere")


def test_keys_are_read_strictly() -> None:
    one, two = (base64.b64encode(key.raw).decode() for key in (OLD, NEW))
    assert read_keys(f" {one} ,{two},\n") == (OLD, NEW)
    assert OLD.id != NEW.id
    for wrong in (
        "",
        ",",
        "x",
        one[:-4],
        f"{one},{one}",
        f"{one},{one[:-1]}",
        base64.b64encode(b"k" * 16).decode(),
        "字",
    ):
        with pytest.raises(ValueError, match="key") as caught:
            read_keys(wrong)
        assert one not in str(caught.value)
    with pytest.raises(ValueError, match="key"):
        Vault([])


def test_a_derived_key_is_one_and_the_same_for_its_secret() -> None:
    assert derived_key("a" * 40) == derived_key("a" * 40) != derived_key("b" * 40)
    assert "a" * 10 not in derived_key("a" * 40)
    assert len(read_keys(derived_key("a" * 40))) == 1
