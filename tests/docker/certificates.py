"""An authority, an engine's certificate and a client's, made on the spot."""

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certificates import NOW, begun, key_pem, name_of

Pair = tuple[str, str]


@dataclass(frozen=True)
class Papers:
    authority: str
    server: Pair = field(repr=False)
    client: Pair = field(repr=False)
    stranger: Pair = field(repr=False)  # a client's, of another authority


def papers(name: str, *, start: datetime | None = None) -> Papers:
    begins, ends = start or NOW - timedelta(days=1), NOW + timedelta(days=10_000)
    authority, key = _authority(begins, ends)
    other, other_key = _authority(begins, ends)
    return Papers(
        authority=authority.public_bytes(Encoding.PEM).decode(),
        server=_signed(authority, key, name, begins, ends, ExtendedKeyUsageOID.SERVER_AUTH),
        client=_signed(authority, key, "aquifer", begins, ends, ExtendedKeyUsageOID.CLIENT_AUTH),
        stranger=_signed(other, other_key, "stranger", begins, ends, ExtendedKeyUsageOID.CLIENT_AUTH),
    )


def _authority(start: datetime, end: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = name_of("docker authority")
    made = begun(subject, subject, key, start, end).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    return made.sign(key, hashes.SHA256()), key


def _signed(
    authority: x509.Certificate, key: ec.EllipticCurvePrivateKey, name: str, start: datetime, end: datetime,
    usage: x509.ObjectIdentifier,
) -> Pair:  # fmt: skip
    own = ec.generate_private_key(ec.SECP256R1())
    made = (
        begun(name_of(name), authority.subject, own, start, end)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode(), key_pem(own)
