"""Certificates and keys as text (PEM): read, looked at, refused with a pointer to where they stood. Pure.

No message and no repr holds a secret.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

MOST_PEM = 65536
_MOST_KEY = 8192  # bytes of PEM: beyond, looking at an RSA key may take minutes
_MOST_CERTIFICATES = 32
_MOST_HOSTS = 200

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class BadConnection(ValueError):
    """Why it is refused: `pointer` (RFC 6901) says where, `code` is for programs, the message for people."""

    def __init__(self, pointer: str, code: str, message: str) -> None:
        super().__init__(message)
        self.pointer, self.code, self.message = pointer, code, message


def authorities(pem: str, pointer: str, now: datetime) -> str:
    """The certificates alone: whatever else stood beside them is dropped. One of them at least is valid now."""
    found = _certificates(pem, pointer)
    if not any(c.not_valid_before_utc <= now < c.not_valid_after_utc for c in found):
        _refuse_dates(found[0], "authority's certificate", pointer, now)
    return "".join(c.public_bytes(Encoding.PEM).decode() for c in found)


def pair(certificate_pem: str, key_pem: str, pointers: Sequence[str], now: datetime) -> tuple[str, str, datetime]:
    """A client's certificate (its chain behind it), the key that belongs to it, and when the certificate ends.

    `pointers`: of the certificate, of the key. Raises BadConnection.
    """
    chain = _certificates(certificate_pem, pointers[0])
    _refuse_dates(chain[0], "client certificate", pointers[0], now)
    key = _private_key(key_pem, pointers[1])
    if _public(key.public_key()) != _public_of(chain[0], pointers[0]):
        raise BadConnection(pointers[1], "key-mismatch", "The key does not belong to the certificate.")
    return (
        "".join(c.public_bytes(Encoding.PEM).decode() for c in chain),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        chain[0].not_valid_after_utc,
    )


def ssh_key(text: str, pointer: str) -> str:
    """A private key for SSH, in OpenSSH's form whatever form it came in. Raises BadConnection."""
    if len(text) > _MOST_KEY:
        raise BadConnection(pointer, "too-large", f"A key of more than {_MOST_KEY} bytes is not taken.")
    try:
        key = load_ssh_private_key(text.encode(), password=None) if "OPENSSH" in text else _private_key(text, pointer)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, BadConnection):
            raise
        if "password" in str(error).lower():
            raise _locked(pointer) from None
        raise BadConnection(pointer, "bad-key", "There is no private key for SSH in this that can be read.") from None
    if not isinstance(key, Key):
        raise BadConnection(pointer, "bad-key", "The key is of a kind that is not used here: RSA, EC or Ed25519 is.")
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def known_hosts(text: str, pointer: str) -> str:
    """Lines of a known_hosts file, each a host, a kind of key and the key. Raises BadConnection."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    if not lines or len(lines) > _MOST_HOSTS or len(text) > MOST_PEM:
        raise BadConnection(pointer, "bad-known-hosts", "Give the host's keys as `ssh-keyscan HOST` prints them.")
    for line in lines:
        words = line.split()
        if len(words) < 3 or words[0].startswith("@") or not _KIND_OF_KEY.fullmatch(words[1]) or not _is64(words[2]):
            raise BadConnection(pointer, "bad-known-hosts", "A line of these is no host, kind of key and key.")
    return "\n".join(" ".join(line.split()[:3]) for line in lines) + "\n"


_KIND_OF_KEY = re.compile(r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+)")


def _is64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False


def _certificates(pem: str, pointer: str) -> list[x509.Certificate]:
    bad = BadConnection(pointer, "bad-certificate", "There is no certificate in this that can be read (PEM).")
    if len(pem) > MOST_PEM:
        raise BadConnection(pointer, "too-large", f"Certificates of more than {MOST_PEM} bytes are not taken.")
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
        for certificate in found:
            _ = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    except (ValueError, UnsupportedAlgorithm):
        raise bad from None
    if not found:
        raise bad
    if len(found) > _MOST_CERTIFICATES:
        raise BadConnection(pointer, "too-large", f"More than {_MOST_CERTIFICATES} certificates are not taken.")
    return found


def _refuse_dates(certificate: x509.Certificate, what: str, pointer: str, now: datetime) -> None:
    if now >= certificate.not_valid_after_utc:
        message = f"The {what} expired on {day(certificate.not_valid_after_utc)}."
        raise BadConnection(pointer, "expired", message)
    if now < certificate.not_valid_before_utc:
        message = f"The {what} is not valid before {day(certificate.not_valid_before_utc)}."
        raise BadConnection(pointer, "not-yet-valid", message)


def _private_key(pem: str, pointer: str) -> Key:
    if len(pem) > _MOST_KEY:
        raise BadConnection(pointer, "too-large", f"A key of more than {_MOST_KEY} bytes is not taken.")
    try:
        # Proving the primes of a large RSA key takes seconds, which whoever sends keys could make us spend.
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise _locked(pointer) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadConnection(pointer, "bad-key", "There is no private key in this that can be read (PEM).") from None
    if not isinstance(key, Key):
        raise BadConnection(pointer, "bad-key", "The key is of a kind that is not used here: RSA, EC or Ed25519 is.")
    return key


def _locked(pointer: str) -> BadConnection:
    return BadConnection(pointer, "key-encrypted", "The key is locked with a password; give it without.")


def _public_of(certificate: x509.Certificate, pointer: str) -> bytes:
    try:
        return _public(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        raise BadConnection(pointer, "bad-certificate", "The key of the certificate cannot be read.") from None


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def from_base64(text: str, pointer: str) -> str:
    """PEM out of strict base64: no letters beside the alphabet, no line breaks inside. Raises BadConnection."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise BadConnection(pointer, "bad-base64", "This is not base64 of a PEM text.") from None


def day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
