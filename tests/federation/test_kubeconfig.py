"""Our own reader of kubeconfigs: what it takes, and what it refuses."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_key

from federation import kubeconfig
from federation.certificates import BadConnection
from federation.connections import Connection, checked
from tests.certificates import NOW, SERVER, authority, b64, client, key_pem, pair, token
from tests.certificates import kubeconfig as config
from tests.federation.kubeconfigs import BOMB, FORMS, GOOD, read, refusal

# -- what is taken ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_token_in_every_way_to_write_it(form: str) -> None:
    found = read(FORMS[form](config()))
    assert found == Connection(server=SERVER, ca_pem=authority(), token=token())
    assert found.secrets == {"ca_pem": authority(), "token": token()}


def test_a_client_certificate_with_its_key() -> None:
    certificate, key = client()
    user = {"client-certificate-data": b64(certificate), "client-key-data": b64(key)}
    value = config(user=user, **{"tls-server-name": "Kubernetes.Default.svc", "server": "https://Hub.example/k8s/c-1/"})
    value["contexts"][0]["context"]["namespace"] = "aquifer-system"
    found = read(value)
    assert found.server == "https://hub.example/k8s/c-1"
    assert (found.tls_server_name, found.namespace, found.token) == ("kubernetes.default.svc", "aquifer-system", "")
    assert (found.client_cert_pem, found.client_key_pem) == (certificate, key)
    assert found.expires_at == NOW + timedelta(days=20_000)


def test_keys_of_the_usual_kinds_are_taken_and_a_foreign_one_is_not() -> None:
    certificate, key = client()
    for other in (
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
        load_key(pair()[1].encode(), None),
    ):
        user = {"client-certificate-data": b64(certificate), "client-key-data": b64(key_pem(other))}
        assert refusal(config(user=user)).code == "key-mismatch"
    odd = key_pem(x25519.X25519PrivateKey.generate())
    with pytest.raises(BadConnection) as caught:
        checked({"server": SERVER, "client_cert_pem": certificate, "client_key_pem": odd}, now=NOW)
    assert (caught.value.code, caught.value.pointer) == ("bad-key", "/client_key_pem")
    locked = load_key(key.encode(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    user = {"client-certificate-data": b64(certificate), "client-key-data": b64(locked.decode())}
    assert refusal(config(user=user)).code == "key-encrypted"


def test_without_an_authority_the_public_ones_are_believed() -> None:
    value = config()
    del value["clusters"][0]["cluster"]["certificate-authority-data"]
    assert read(value).ca_pem == ""


def test_only_the_certificates_of_an_authority_are_kept() -> None:
    expired = pair(start=NOW - timedelta(days=9), end=NOW - timedelta(days=1))[0]
    bundle = f"subject=old\n{expired}\nsubject=new\n{authority()}{client()[1]}"
    found = read(config(**{"certificate-authority-data": b64(bundle)}))
    assert found.ca_pem == expired + authority()
    assert "PRIVATE KEY" not in found.ca_pem


def test_of_several_contexts_the_current_one_is_taken() -> None:
    value = config()
    value["clusters"].insert(0, {"name": "other", "cluster": {"server": "https://10.8.0.8"}})
    value["contexts"].insert(0, {"name": "y", "context": {"cluster": "other", "user": "u"}})
    assert read(value).server == SERVER
    value["current-context"] = "y"
    assert read(value).server == "https://10.8.0.8"
    del value["current-context"]
    assert (refusal(value).pointer, refusal(value).code) == ("/current-context", "required")
    del value["contexts"][0]
    assert read(value).server == SERVER, "there is only one"


def test_the_end_of_a_token_is_read_from_it() -> None:
    end = datetime(2027, 3, 1, 8, 30, tzinfo=UTC)
    assert read(config(user={"token": token(end=end)})).expires_at == end
    assert read(config(user={"token": "a-token-of-another-kind.with.dots"})).expires_at is None
    for odd in ({"exp": "soon"}, {"exp": 1e400}, {"exp": True}, [], {"exp": 1e300}, {}):
        middle = base64.urlsafe_b64encode(json.dumps(odd).encode()).decode().rstrip("=")
        if odd != {"exp": True}:
            assert read(config(user={"token": f"{'h' * 20}.{middle}.s"})).expires_at is None
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
    assert read(config(user={"token": f"h.{deep}.s"})).expires_at is None
    error = refusal(config(user={"token": token(end=datetime(2026, 11, 26, 23, 59, tzinfo=UTC))}))
    assert (error.pointer, error.code) == ("/users/0/user/token", "expired")
    assert "2026-11-26 23:59 UTC" in error.message


def test_nothing_shows_what_lets_one_in() -> None:
    certificate, key = client()
    both = {"token": token(), "client-certificate-data": b64(certificate), "client-key-data": b64(key)}
    found = read(config(user=both))
    for shown in (repr(found), str(found), f"{found!r:>10}", found.fingerprint):
        for secret in (token(), key, certificate, authority(), "canary"):
            assert secret not in shown
    assert len(found.fingerprint) == 16
    assert found.fingerprint != read(config()).fingerprint or found.token == read(config()).token


# -- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cluster", "code"),
    [
        ({"server": "http://10.8.0.7"}, "not-https"),
        ({"server": "https://root:secret@10.8.0.7"}, "userinfo"),
        ({"server": "https://10.8.0.7/?x=1"}, "query"),
        ({"server": "https://10.8.0.7/../x"}, "bad-path"),
        ({"server": ""}, "required"),
        ({"server": "https://127.1"}, "bad-host"),
        ({"server": ["https://10.8.0.7"]}, "not-a-text"),
        ({"tls-server-name": "a b"}, "bad-host"),
        ({"certificate-authority-data": "%%%"}, "bad-base64"),
        ({"certificate-authority-data": b64("text")}, "bad-certificate"),
        ({"certificate-authority-data": b64(authority())[:100]}, "bad-certificate"),
        ({"certificate-authority-data": b64(authority()) + "\n" + b64(authority())}, "bad-base64"),
        ({"certificate-authority-data": b64(authority() * 33)}, "too-large"),
        ({"certificate-authority-data": b64(authority().replace("M", "N"))}, "bad-certificate"),
    ],
)
def test_what_is_wrong_of_the_cluster_is_pointed_at(cluster: dict[str, Any], code: str) -> None:
    error = refusal(config(**cluster))
    assert (error.pointer, error.code) == (f"/clusters/0/cluster/{next(iter(cluster))}", code)
    assert "secret" not in error.message


CERTIFICATE, KEY = "client-certificate-data", "client-key-data"


@pytest.mark.parametrize(
    ("user", "key", "code"),
    [
        ({}, "token", "required"),
        ({"token": ""}, "token", "required"),
        ({"token": "short"}, "token", "bad-token"),
        ({"token": "x" * 9000}, "token", "bad-token"),
        ({"token": "canary-with\r\nX-Header: 1"}, "token", "bad-token"),
        ({"token": "canary with spaces in it"}, "token", "bad-token"),
        ({"token": 7}, "token", "bad-token"),
        ({CERTIFICATE: b64(client()[0])}, KEY, "required"),
        ({KEY: b64(client()[1])}, CERTIFICATE, "required"),
        ({KEY: b64(client()[1]), CERTIFICATE: b64("x")}, CERTIFICATE, "bad-certificate"),
        ({KEY: b64("canary"), CERTIFICATE: b64(client()[0])}, KEY, "bad-key"),
        ({KEY: b64("x" * 9000), CERTIFICATE: b64(client()[0])}, KEY, "too-large"),
    ],
)
def test_what_is_wrong_of_the_user_is_pointed_at(user: dict[str, Any], key: str, code: str) -> None:
    error = refusal(config(user=user))
    assert (error.pointer, error.code) == (f"/users/0/user/{key}", code)
    assert "canary" not in error.message


@pytest.mark.parametrize("what", ["certificate-authority-data", "client-certificate-data"])
def test_certificates_of_another_time_are_refused_with_their_date(what: str) -> None:
    for start, end, code, words in (
        (-30, -1, "expired", "expired on 2026-11-26"),
        (2, 30, "not-yet-valid", "not valid before 2026-11-29"),
    ):
        certificate, key = pair(start=NOW + timedelta(days=start), end=NOW + timedelta(days=end))
        user = {"client-certificate-data": b64(certificate), "client-key-data": b64(key)}
        value = config(user=user) if what.startswith("client") else config(**{what: b64(certificate)})
        error = refusal(value)
        assert (error.code, error.pointer.rpartition("/")[2]) == (code, what)
        assert words in error.message


def test_what_leads_nowhere_in_the_file_is_refused() -> None:
    for plural, at in (("contexts", "/current-context"), ("users", "/contexts/0/context/user")):
        value = config()
        value[plural] = []
        assert (refusal(value).pointer, refusal(value).code) == (at, "not-found")
    value = config()
    value["users"] *= 2
    assert (refusal(value).pointer, refusal(value).code) == ("/users/1/name", "twice")
    assert refusal({**config(), "kind": "Secret"}).code == "not-a-kubeconfig"
    assert refusal({**config(), "preferences": {"colors": True}}).pointer == "/preferences"
    assert refusal({**config(), "users": {}, "clusters": "x"}).pointer == "/clusters"
    assert refusal({**config(), "users": ["x"]}).pointer == "/users/0"
    assert refusal([]).code == refusal('"text"').code == "not-a-mapping"
    assert refusal("").code == refusal("# nothing\n").code == "empty"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (BOMB, "anchor"),
        (GOOD + "x: *x", "anchor"),
        (GOOD.replace("kind: Config", "kind: &k Config"), "anchor"),
        (GOOD.replace("kind: Config", "kind: !!str Config"), "tag"),
        (GOOD.replace("kind: Config", "kind: !!python/object/apply:os.system ['id']"), "tag"),
        (GOOD.replace("kind: Config", "kind: ! Config"), "tag"),
        ("!<tag:yaml.org,2002:map>\n" + GOOD, "tag"),
        ("%TAG ! tag:x,2000:\n---\n" + GOOD, "directive"),
        ("%YAML 1.1\n---\n" + GOOD, "directive"),
        (GOOD + "---\n" + GOOD, "several"),
        (GOOD + "...\n---\n", "several"),
        (GOOD + "<<: {a: b}\n", "merge-key"),
        (GOOD + "kind: Config\n", "twice"),
        (GOOD + "? [a, b]\n: c\n", "bad-key"),
        ("[" * 1000, "too-deep"),
        ("{a: " * 1000, "too-deep"),
        ("- " * 120_000, "too-deep"),
        ("[" + "a," * 120_000 + "]", "too-large"),
        ("? " * 120_000, "bad-key"),
        ("a" * 256_001, "too-large"),
        ("字" * 100_000, "too-large"),
        ("a: b: c", "malformed"),
        ("\x01", "malformed"),
        ("a: \ud800", "malformed"),
        ('{"a": "\\ud83d\\ude00"}', "malformed"),
        ("{'a'", "malformed"),
        ("a: 'canary", "malformed"),
        ("\tcanary: 1", "malformed"),
        ("@canary", "malformed"),
    ],
    ids=range(29),
)
def test_yaml_that_a_kubeconfig_does_not_need_is_refused_at_once(text: str, code: str) -> None:
    error = refusal(text)
    assert error.code == code
    assert "canary" not in error.message


@pytest.mark.parametrize(
    ("text", "most"),
    [("[" * 256_000, 24), ("{a: " * 64_000, 46), ("- " * 128_000, 24), ("[" + "a," * 127_000 + "]", 20_003)],
)
def test_the_scanner_is_stopped_where_it_is_refused(text: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left to itself it would spend minutes on 256 kB of brackets, and a gigabyte on a list."""
    taken = 0

    def counted(*args: Any, **kwargs: Any) -> Iterator[Any]:
        nonlocal taken
        for event in parse(*args, **kwargs):
            taken += 1
            yield event

    parse = yaml.parse
    monkeypatch.setattr(kubeconfig.yaml, "parse", counted)
    assert refusal(text).code in {"too-deep", "too-large"}
    assert 20 < taken <= most
