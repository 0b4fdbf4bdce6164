"""Keys that a kubeconfig may not have: refused by name, and nothing is touched meanwhile."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from federation import kubeconfig
from federation.certificates import BadConnection
from tests.certificates import NOW, SERVER
from tests.certificates import kubeconfig as config
from tests.federation.kubeconfigs import BOMB, FORMS, GOOD, read, refusal

NOSY = {
    "user": {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", "id > /tmp/x"]},
        "auth-provider": {"name": "gcp", "config": {"cmd-path": "/bin/sh", "cmd-args": "-c id"}},
        "tokenFile": "/etc/hostname",
        "client-certificate": "/etc/hostname",
        "client-key": "/etc/ssl/private/ssl-cert-snakeoil.key",
        "username": "admin",
        "password": "canary",
        "as": "system:admin",
        "as-uid": "0",
        "as-groups": ["system:masters"],
        "as-user-extra": {"scopes": ["all"]},
        "act-as": "system:admin",
        "impersonate": "system:admin",
        "httpSignature": {"keyId": "k"},
        "extensions": [{"name": "x", "extension": {"exec": "id"}}],
        "token-file": "/etc/hostname",
        "Token": "canary",
        "EXEC": {"command": "id"},
    },
    "cluster": {
        "certificate-authority": "/etc/hostname",
        "insecure-skip-tls-verify": True,
        "proxy-url": "http://169.254.169.254/",
        "disable-compression": True,
        "extensions": [],
        "api-version": "v1",
        "Server": "https://127.0.0.1",
        "exec": {"command": "id"},
    },
    "context": {"extensions": [], "exec": {"command": "id"}, "Namespace": "x"},
    "entry": {"exec": {"command": "id"}, "extension": {}, "Name": "x"},
    "top": {"extensions": [], "exec": {"command": "id"}, "current_context": "x", "include": "/etc/passwd"},
}
_EVENTS = ("subprocess.", "os.exec", "os.system", "os.posix_spawn", "os.spawn", "os.fork", "open", "socket.", "exec",
           "compile", "import", "ctypes.", "pty.")  # fmt: skip
_heard: list[str] | None = None


def _listen(event: str, args: tuple[Any, ...]) -> None:
    if _heard is not None and event.startswith(_EVENTS):
        _heard.append(f"{event} {args!r:.80}")


sys.addaudithook(_listen)


@contextmanager
def nothing_is_touched() -> Iterator[None]:
    global _heard
    _heard = []
    try:
        yield
        heard = list(_heard)
    finally:
        _heard = None
    assert heard == []


def nosy(dice: random.Random) -> tuple[str, str]:
    """(the name of what is forbidden, a kubeconfig with it in some place and some form)."""
    value: Any = config()
    if dice.random() < 0.3:  # beside the current context
        value["users"].append({"name": "u2", "user": {}})
        value["clusters"].append({"name": "c2", "cluster": {"server": SERVER}})
    place = dice.choice([*NOSY, "user", "user"])
    key, harm = dice.choice(list(NOSY[place].items()))
    match place:
        case "top":
            home = value
        case "entry":
            home = dice.choice(value[dice.choice(["users", "clusters", "contexts"])])
        case _:
            home = dice.choice(value[f"{place}s"])[place]
    items = [*home.items(), (key, harm)]
    dice.shuffle(items)
    home.clear()
    home.update(items)
    text: str = FORMS[dice.choice(list(FORMS))](value)
    return key, text


def test_the_listener_hears() -> None:
    """Otherwise the test below would prove nothing."""
    with pytest.raises(AssertionError, match="open"), nothing_is_touched(), open(__file__):
        pass


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_every_forbidden_key_is_refused_by_name_and_nothing_is_touched(count: int) -> None:
    dice = random.Random(count)
    cases = [nosy(dice) for _ in range(count)]
    read(config())  # what is loaded once is loaded
    for key in ("exec", "token"):
        refusal(config(user={key: "canary"}))
    seen, wrong = set(), []
    with nothing_is_touched():
        for key, text in cases:
            seen.add(key)
            try:
                kubeconfig.read(text, now=NOW)
                wrong.append(f"taken: {key}")
            except BadConnection as error:
                is_named = f"`{key}`" in error.message and error.pointer.endswith(f"/{key}")
                if not is_named or error.code != "forbidden-key" or "canary" in error.message:
                    wrong.append(f"{key}: {error.pointer} {error.message}")
        with pytest.raises(BadConnection):
            kubeconfig.read(BOMB, now=NOW)
        kubeconfig.read(GOOD, now=NOW)
    assert wrong == []
    assert seen == {key for keys in NOSY.values() for key in keys}


def test_a_sentence_says_what_to_use_instead() -> None:
    for place in ("user", "cluster"):
        for key in set(NOSY[place]) & set(kubeconfig._INSTEAD):
            message = refusal(config(**({"user": {key: "x"}} if place == "user" else {key: "x"}))).message
            assert len(message.split(". ")) >= 2, message
    assert "`kubectl config view --raw --minify --flatten`" in refusal(config(**{"certificate-authority": "x"})).message
    assert "kubectl create token" in refusal(config(user={"exec": {}})).message


def test_a_secret_in_the_place_of_a_name_is_not_told_back() -> None:
    secret = "canary" + "x" * 80
    error = refusal(config(user={secret: ""}))
    assert "canary" not in error.message + error.pointer
    assert "canary" not in refusal(config(user={"canary\nX: y": ""})).message
