"""What it takes to speak to an API server: where it is, whom to believe there, and how to be believed.

Everything is looked at before any of it is kept or used. Pure; opens nothing. No message and no repr holds a secret.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from federation import addresses

MOST_TOKEN = 8192  # what servers take as one header
MOST_PEM = 65536
_LEAST_TOKEN = 16
_MOST_KEY = 8192  # bytes of PEM: beyond, looking at an RSA key may take minutes
_MOST_CERTIFICATES = 32
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class BadConnection(ValueError):
    """Why it is refused: `pointer` (RFC 6901) says where, `code` is for programs, the message for people."""

    def __init__(self, pointer: str, code: str, message: str) -> None:
        super().__init__(message)
        self.pointer, self.code, self.message = pointer, code, message


@dataclass(frozen=True, slots=True)
class Connection:
    """One way to one API server. Without `ca_pem` the public authorities are believed."""

    server: str
    ca_pem: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    client_cert_pem: str = field(default="", repr=False)
    client_key_pem: str = field(default="", repr=False)
    tls_server_name: str = ""
    namespace: str = ""
    expires_at: datetime | None = None  # when the first of token and certificate ends, as far as they say

    @property
    def secrets(self) -> dict[str, str]:
        """What is sealed, by the names that drivers know it by."""
        names = ("ca_pem", "token", "client_cert_pem", "client_key_pem")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    @property
    def fingerprint(self) -> str:
        """Tells one credential from another without telling it: the start of SHA-256 of token or certificate."""
        return hashlib.sha256((self.token or self.client_cert_pem).encode()).hexdigest()[:16]


Names = Mapping[str, str]  # our name of a part -> its pointer in what was sent
PLAIN: Names = {
    name: f"/{name}"
    for name in ("server", "ca_pem", "token", "client_cert_pem", "client_key_pem", "tls_server_name", "namespace")
}


def checked(parts: Mapping[str, str], *, now: datetime, names: Names = PLAIN) -> Connection:
    """A Connection from its parts, each looked at. Blank parts are absent. Raises BadConnection.

    `names`: where each part stands in what was sent, for the pointer of a refusal.
    """
    given = {name: value.strip() for name, value in parts.items() if value.strip()}
    if "server" not in given:
        raise BadConnection(names["server"], "required", "The address of the API server is missing.")
    has_certificate = "client_cert_pem" in given or "client_key_pem" in given
    if "token" not in given and not has_certificate:
        raise BadConnection(names["token"], "required", "There is no token and no client certificate.")
    ends: list[datetime] = []
    found = {"server": _server(given["server"], names["server"])}
    if tls_name := given.get("tls_server_name"):
        found["tls_server_name"] = _host(tls_name, names["tls_server_name"])
    if ca_pem := given.get("ca_pem"):
        found["ca_pem"] = _authorities(ca_pem, names["ca_pem"], now)
    if token := given.get("token"):
        found["token"] = _token(token, names["token"], now, ends)
    if has_certificate:
        for name in ("client_cert_pem", "client_key_pem"):
            if name not in given:
                message = "A client certificate and its key come together; one of them is missing."
                raise BadConnection(names[name], "required", message)
        found |= _pair(given["client_cert_pem"], given["client_key_pem"], names, now, ends)
    if namespace := given.get("namespace"):
        if not _NAMESPACE.fullmatch(namespace):
            raise BadConnection(names["namespace"], "bad-namespace", "This is no name of a namespace.")
        found["namespace"] = namespace
    return Connection(**found, expires_at=min(ends, default=None))


def _server(text: str, pointer: str) -> str:
    try:
        return str(addresses.server(text))
    except addresses.BadAddress as error:
        raise BadConnection(pointer, error.code, str(error)) from None


def _host(text: str, pointer: str) -> str:
    try:
        return addresses.checked_host(text)
    except addresses.BadAddress as error:
        raise BadConnection(pointer, error.code, str(error)) from None


def _token(token: str, pointer: str, now: datetime, ends: list[datetime]) -> str:
    if not _LEAST_TOKEN <= len(token) <= MOST_TOKEN or not _TOKEN.fullmatch(token):
        message = f"This is no bearer token: {_LEAST_TOKEN} to {MOST_TOKEN} letters, digits and ._~+/-= in one line."
        raise BadConnection(pointer, "bad-token", message)
    end = _end_of_token(token)
    if end is not None:
        if end <= now:
            raise BadConnection(pointer, "expired", f"The token expired on {_day(end)}. Make a new one.")
        ends.append(end)
    return token


def _end_of_token(token: str) -> datetime | None:
    """When a service account's token ends: it is a JWT and says so. Others say nothing that we know."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        said: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        end = said["exp"] if isinstance(said, dict) else None
        return datetime.fromtimestamp(end, UTC) if isinstance(end, int | float) else None
    except (ValueError, KeyError, OverflowError, OSError, RecursionError):
        return None


# -- certificates ------------------------------------------------------------------------------------


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


def _authorities(pem: str, pointer: str, now: datetime) -> str:
    """The certificates alone: whatever else stood beside them is dropped. One of them at least is valid now."""
    found = _certificates(pem, pointer)
    if not any(c.not_valid_before_utc <= now < c.not_valid_after_utc for c in found):
        _refuse_dates(found[0], "authority's certificate", pointer, now)
    return "".join(c.public_bytes(Encoding.PEM).decode() for c in found)


def _refuse_dates(certificate: x509.Certificate, what: str, pointer: str, now: datetime) -> None:
    if now >= certificate.not_valid_after_utc:
        message = f"The {what} expired on {_day(certificate.not_valid_after_utc)}."
        raise BadConnection(pointer, "expired", message)
    if now < certificate.not_valid_before_utc:
        message = f"The {what} is not valid before {_day(certificate.not_valid_before_utc)}."
        raise BadConnection(pointer, "not-yet-valid", message)


def _pair(
    certificate_pem: str, key_pem: str, names: Names, now: datetime, ends: list[datetime]
) -> dict[str, str]:  # fmt: skip
    """A client's certificate (its chain behind it) and the key that belongs to it."""
    chain = _certificates(certificate_pem, names["client_cert_pem"])
    _refuse_dates(chain[0], "client certificate", names["client_cert_pem"], now)
    key = _private_key(key_pem, names["client_key_pem"])
    if _public(key.public_key()) != _public_of(chain[0], names["client_cert_pem"]):
        raise BadConnection(names["client_key_pem"], "key-mismatch", "The key does not belong to the certificate.")
    ends.append(chain[0].not_valid_after_utc)
    return {
        "client_cert_pem": "".join(c.public_bytes(Encoding.PEM).decode() for c in chain),
        "client_key_pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }


def _private_key(pem: str, pointer: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    if len(pem) > _MOST_KEY:
        raise BadConnection(pointer, "too-large", f"A key of more than {_MOST_KEY} bytes is not taken.")
    try:
        # Proving the primes of a large RSA key takes seconds, which whoever sends keys could make us spend.
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise BadConnection(pointer, "key-encrypted", "The key is locked with a password; give it without.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadConnection(pointer, "bad-key", "There is no private key in this that can be read (PEM).") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise BadConnection(pointer, "bad-key", "The key is of a kind that is not used here: RSA, EC or Ed25519 is.")
    return key


def _public_of(certificate: x509.Certificate, pointer: str) -> bytes:
    try:
        return _public(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        raise BadConnection(pointer, "bad-certificate", "The key of the certificate cannot be read.") from None


def _public(key: Any) -> bytes:
    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


def from_base64(text: str, pointer: str) -> str:
    """PEM out of strict base64: no letters beside the alphabet, no line breaks inside. Raises BadConnection."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise BadConnection(pointer, "bad-base64", "This is not base64 of a PEM text.") from None


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
