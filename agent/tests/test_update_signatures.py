"""Whose word counts: the signature, the manifest, and every reason to refuse a release."""

import base64
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agentsite import PACKAGE
from aquifer_agent.updates import ed25519, manifest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from releasing import Operator

# RFC 8032, section 7.1, tests 1 to 3: key, message, signature.
RFC = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("key", "message", "signature"), RFC)
def test_the_examples_of_the_rfc_are_accepted_and_any_bit_of_them_counts(
    key: str, message: str, signature: str
) -> None:
    k, m, s = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert ed25519.verify(k, m, s)
    for at in range(0, 512, 37):
        assert not ed25519.verify(k, m, _flipped(s, at))
    for at in range(0, 256, 37):
        assert not ed25519.verify(_flipped(k, at), m, s)
    assert not ed25519.verify(k, m + b"\0", s)


def test_a_number_has_one_form_and_keys_of_small_order_are_none() -> None:
    k, m, s = (bytes.fromhex(word) for word in RFC[1])
    twice = s[:32] + (int.from_bytes(s[32:], "little") + ORDER).to_bytes(32, "little")
    assert not ed25519.verify(k, m, twice)
    one, nothing = (1).to_bytes(32, "little"), bytes(32)
    for key in (one, nothing, b"\xff" * 32, (2**255 - 19).to_bytes(32, "little"), (2**255 - 18).to_bytes(32, "little")):
        assert not ed25519.verify(key, b"anything", one + nothing)
    for short in (b"", s[:-1], s + b"\0"):
        assert not ed25519.verify(k, m, short)
    assert not ed25519.verify(k[:-1], m, s)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.integers(0, 511), st.binary(max_size=8))
def test_it_agrees_with_the_library(secret: bytes, message: bytes, bit: int, more: bytes) -> None:
    private = Ed25519PrivateKey.from_private_bytes(secret)
    key, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert ed25519.verify(key, message, signature)
    for m, s in ((message + more, signature), (message, _flipped(signature, bit))):
        assert ed25519.verify(key, m, s) == _library(key, m, s)


def _library(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def _reason(operator: Operator, text: str, signature: str | None = None, **facts: Any) -> str:
    """Why it is refused; empty when it is taken."""
    facts = {"own_version": "1.2.3", "last_serial": 5, "known_time": 0.0} | facts
    try:
        found = manifest.opened(text, operator.sign(text) if signature is None else signature, [operator.public])
        manifest.check(found, **facts)
    except manifest.Refusal as refusal:
        assert str(refusal).endswith(".")
        return refusal.reason
    return ""


def test_every_refusal_has_its_reason(operator: Operator) -> None:
    def text(**other: Any) -> str:
        return operator.manifest(b"x", **{"version": "1.3.0", "serial": 6, **other})

    now = datetime.now(UTC)
    assert _reason(operator, text()) == ""
    assert _reason(operator, text(), signature="") == "BadSignature"
    assert _reason(operator, text(), signature="%%%") == "BadSignature"
    assert _reason(operator, text() + " ", signature=operator.sign(text())) == "BadSignature"
    assert _reason(operator, text(note="x" * 9000)) == "BadSignature", "too long to be read"
    assert _reason(operator, text(serial=5)) == "OldRelease"
    assert _reason(operator, text(version="1.2.3")) == "Downgrade"
    assert _reason(operator, text(version="1.2.2")) == "Downgrade"
    assert _reason(operator, text(version="1.10.0"), own_version="1.9.0") == "", "numbers, not letters"
    assert _reason(operator, text(minimum_version="1.2.4")) == "TooFarBehind"
    assert _reason(operator, text(not_before=(now + timedelta(minutes=5)).isoformat())) == "NotYet"
    assert _reason(operator, text(expires=(now - timedelta(seconds=1)).isoformat())) == "Expired"
    assert _reason(operator, text(), known_time=time.time() + 7200) == "Expired", "the clock was set back"
    for other in (
        {"format": "other"}, {"version": "1.3"}, {"version": 13}, {"serial": 0}, {"serial": True}, {"serial": "7"},
        {"size": 0}, {"size": 10**9}, {"sha256": "../../etc"}, {"expires": "2027-01-01T00:00:00"}, {"expires": None},
    ):  # fmt: skip
        assert _reason(operator, text(**other)) == "BadManifest", other
    assert _reason(operator, "[]") == _reason(operator, "[" * 4000) == _reason(operator, "{}") == "BadManifest"


def test_another_operators_key_opens_nothing_and_no_key_at_all_says_so(operator: Operator, tmp_path: Path) -> None:
    text = operator.manifest(b"x")
    (tmp_path / "other").mkdir()
    other = Operator(tmp_path / "other")
    with pytest.raises(manifest.Refusal, match="No key that this agent was given"):
        manifest.opened(text, operator.sign(text), [other.public])
    assert manifest.opened(text, operator.sign(text), [other.public, operator.public]).serial == 1
    with pytest.raises(manifest.Refusal, match="was given no key"):
        manifest.opened(text, operator.sign(text), [])


def test_keys_are_read_by_line_and_a_bad_line_is_named(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n{manifest.key_line(operator.public, 'north')} # and more\n")
    assert manifest.read_keys(file) == [operator.public]
    for line in ("ed25519", "ed25519 AAAA", "rsa AAAA", "ed25519 %%"):
        file.write_text(f"# ours\n{line}\n")
        with pytest.raises(manifest.BadKeys, match="Line 2 of"):
            manifest.read_keys(file)


def test_the_operators_command_signs_what_agents_take(operator: Operator, tmp_path: Path) -> None:
    pyz = tmp_path / "aquifer-agent.pyz"
    pyz.write_bytes(operator.release("9.1.0"))
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True, capture_output=True)
    line = _agent("release-key", "--key", str(key), "--whose", "the north")
    assert line.stdout.endswith(" the north\n"), line.stderr
    (tmp_path / "keys").write_text(line.stdout)
    signed = _agent("sign-release", str(pyz), "--key", str(key), "--serial", "7", "--days", "3")
    assert signed.returncode == 0, signed.stderr
    text = Path(f"{pyz}.manifest").read_text()
    found = manifest.opened(text, Path(f"{pyz}.sig").read_text().strip(), manifest.read_keys(tmp_path / "keys"))
    assert (found.version, found.serial, found.size) == ("9.1.0", 7, pyz.stat().st_size)
    assert found.expires - found.not_before == 3 * 86400
    assert set(json.loads(text)) == {
        "format", "version", "minimum_version", "serial", "size", "sha256", "not_before", "expires",
    }  # fmt: skip
    rsa = tmp_path / "rsa.pem"
    words = ["openssl", "genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024", "-out", str(rsa)]
    subprocess.run(words, check=True, capture_output=True)
    wrong = _agent("sign-release", str(pyz), "--key", str(rsa), "--serial", "8")
    assert (wrong.returncode, "Ed25519" in wrong.stderr) == (1, True), wrong.stderr
    (tmp_path / "no.pyz").write_text("nothing")
    nothing = _agent("sign-release", str(tmp_path / "no.pyz"), "--key", str(key), "--serial", "8")
    assert nothing.returncode == 1 and "is no release of the agent" in nothing.stderr


def _agent(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "aquifer_agent", *words],
        env={"PYTHONPATH": str(PACKAGE), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_base64_that_is_not_whole_is_no_signature(operator: Operator) -> None:
    text = operator.manifest(b"x")
    good = operator.sign(text)
    assert _reason(operator, text, signature=good[:-4]) == "BadSignature"
    assert _reason(operator, text, signature=base64.b64encode(b"\0" * 64).decode()) == "BadSignature"
