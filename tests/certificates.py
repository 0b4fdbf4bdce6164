"""Certificates and keys for tests, made on the spot; and the kubeconfig that holds them."""

import base64
import ipaddress
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def server(number: int) -> str:
    """The address of one of many API servers."""
    return f"https://10.9.{number // 250}.{number % 250 + 1}:6443"


NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
SERVER = "https://10.8.0.7:6443"


def pair(
    name: str = "client", *, start: datetime = NOW - timedelta(days=1), end: datetime = NOW + timedelta(days=365)
) -> tuple[str, str]:
    """A certificate that vouches for itself, and its key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = name_of(name)
    certificate = (
        begun(subject, subject, key, start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode(), key_pem(key)


def name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    """A certificate that has yet to get its extensions and to be signed."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def key_pem(key: Any) -> str:
    found: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return found.decode()


@lru_cache
def authority() -> str:
    """One that is valid for as long as the tests are likely to be run."""
    return pair("authority", end=NOW + timedelta(days=20_000))[0]


@lru_cache
def client() -> tuple[str, str]:
    return pair(end=NOW + timedelta(days=20_000))


def token(canary: str = "canary", *, end: datetime | None = None) -> str:
    """Shaped like a service account's."""

    def packed(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    said = {"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:aquifer-system:aquifer"}
    claims = said | ({"exp": int(end.timestamp())} if end else {})
    return f"{packed({'alg': 'RS256'})}.{packed(claims)}.{canary}-{'s' * 40}"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig(*, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    """With a token, or with what `user` says; `cluster` changes or adds to its cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [
            {"name": "c", "cluster": {"server": SERVER, "certificate-authority-data": b64(authority()), **cluster}}
        ],
        "users": [{"name": "u", "user": {"token": token()} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


@dataclass(frozen=True)
class Signed:
    """A server and a client that one authority vouches for."""

    ca_pem: str
    server_pem: str
    server_key: str
    client_pem: str
    client_key: str


def signed(*names: str) -> Signed:
    """The server has `names`; addresses among them count as addresses."""
    start, end = NOW - timedelta(days=1000), NOW + timedelta(days=20_000)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = name_of("authority")
    ca = (
        begun(ca_name, ca_name, ca_key, start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    found = []
    for common, purpose, alternatives in (
        (names[0], ExtendedKeyUsageOID.SERVER_AUTH, [_alternative(name) for name in names]),
        ("hub", ExtendedKeyUsageOID.CLIENT_AUTH, []),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            begun(name_of(common), ca_name, key, start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        # The builder's key is that of the subject; the authority signs.
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        found += [builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM).decode(), key_pem(key)]
    return Signed(ca.public_bytes(Encoding.PEM).decode(), *found)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(**uses: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: uses.get(name, False) for name in names})
