"""Our own reader of kubeconfigs. What is not on its list is refused by name, since a kubeconfig can be code.

The usual loaders run programs that the file names (`exec`, `auth-provider`) and read files of the machine they run on
(`tokenFile`, `client-certificate`). This one looks at the text alone: it opens nothing, starts nothing, asks nobody.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import yaml

from federation.certificates import BadConnection, from_base64
from federation.connections import Connection, checked

MOST_BYTES = 256_000
MOST_DEPTH = 20
_MOST_EVENTS = 20_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C scanner is twenty times as fast
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NOTHING = {"", "~", "null", "Null", "NULL"}

_TOP = {"apiVersion", "kind", "preferences", "clusters", "users", "contexts", "current-context"}
_CLUSTER = {"server", "certificate-authority-data", "tls-server-name"}
_USER = {"token", "client-certificate-data", "client-key-data"}
_CONTEXT = {"cluster", "user", "namespace"}

_FLATTEN = "`kubectl config view --raw --minify --flatten` puts the content of files into the kubeconfig."
_ACCOUNT = "Make a service account and put its token here: `kubectl create token`."
_INSTEAD = {
    "exec": f"It names a program to run. {_ACCOUNT}",
    "auth-provider": f"It names a program to run, or another service. {_ACCOUNT}",
    "tokenFile": "It names a file of another machine. Put the token itself into `token`.",
    "certificate-authority": f"It names a file of another machine. Use `certificate-authority-data`. {_FLATTEN}",
    "client-certificate": f"It names a file of another machine. Use `client-certificate-data`. {_FLATTEN}",
    "client-key": f"It names a file of another machine. Use `client-key-data`. {_FLATTEN}",
    "proxy-url": "Sites are connected directly. Give an address that the hub can reach, or use the agent.",
    "insecure-skip-tls-verify": "The server's certificate is always verified. Use `certificate-authority-data`.",
    "username": f"Passwords are not taken. {_ACCOUNT}",
    "password": f"Passwords are not taken. {_ACCOUNT}",
    "disable-compression": "It has no use here; remove it.",
    "extensions": "Aquifer reads no extensions; remove it.",
    "httpSignature": f"Signed requests are not made here. {_ACCOUNT}",
    **dict.fromkeys(
        ("as", "as-uid", "as-groups", "as-user-extra", "act-as", "act-as-uid", "act-as-groups", "act-as-user-extra",
         "impersonate", "impersonate-groups"),
        "Nobody is impersonated. Give the service account the permissions it needs.",
    ),
}  # fmt: skip


def read(text: str, *, now: datetime) -> Connection:
    """The connection of the current context. Raises BadConnection, whose pointer leads into the file."""
    root = _mapping(_compose(text), "")
    _only(root, _TOP, "")
    if _text(root, "kind", "") not in {"", "Config"} or _text(root, "apiVersion", "") not in {"", "v1"}:
        raise BadConnection("/kind", "not-a-kubeconfig", "This is no kubeconfig: kind Config, apiVersion v1.")
    if root.get("preferences") not in ("", {}, None):
        raise BadConnection("/preferences", "forbidden-key", "`preferences` is not read here; leave it empty.")
    # All of the file is looked at, also what the current context does not use: nothing in it slips by unseen.
    clusters = _entries(root, "clusters", "cluster", _CLUSTER)
    users = _entries(root, "users", "user", _USER)
    contexts = _entries(root, "contexts", "context", _CONTEXT)

    sole = next(iter(contexts)) if len(contexts) == 1 else ""
    at, context = _chosen(contexts, _text(root, "current-context", "") or sole, "/current-context")
    cluster_at, cluster = _chosen(clusters, _text(context, "cluster", at), f"{at}/cluster")
    user_at, user = _chosen(users, _text(context, "user", at), f"{at}/user")
    names = {
        "server": f"{cluster_at}/server",
        "ca_pem": f"{cluster_at}/certificate-authority-data",
        "tls_server_name": f"{cluster_at}/tls-server-name",
        "token": f"{user_at}/token",
        "client_cert_pem": f"{user_at}/client-certificate-data",
        "client_key_pem": f"{user_at}/client-key-data",
        "namespace": f"{at}/namespace",
    }
    homes = {cluster_at: cluster, user_at: user, at: context}
    parts = {}
    for name, pointer in names.items():
        home, _, key = pointer.rpartition("/")
        value = _text(homes[home], key, home)
        parts[name] = from_base64(value, pointer) if value and key.endswith("-data") else value
    return checked(parts, now=now, names=names)


# -- the file's own order ----------------------------------------------------------------------------


def _entries(root: dict[str, Any], plural: str, noun: str, allowed: set[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Named entries of a list: name -> (pointer of what it names, that itself)."""
    listed = root.get(plural) or []
    if not isinstance(listed, list):
        raise BadConnection(f"/{plural}", "not-a-list", f"`{plural}` is a list.")
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for position, entry in enumerate(listed):
        at = f"/{plural}/{position}"
        entry = _mapping(entry, at)
        _only(entry, {"name", noun}, at)
        inner = _mapping(entry.get(noun) or {}, f"{at}/{noun}")
        _only(inner, allowed, f"{at}/{noun}")
        name = _text(entry, "name", at)
        if name in found:
            raise BadConnection(f"{at}/name", "twice", f"Two {plural} have this name.")
        found[name] = (f"{at}/{noun}", inner)
    return found


def _chosen(entries: dict[str, tuple[str, dict[str, Any]]], name: str, pointer: str) -> tuple[str, dict[str, Any]]:
    if name not in entries:
        message = "It names something that is not in the file." if name else "It has to name something in the file."
        raise BadConnection(pointer, "not-found" if name else "required", message)
    return entries[name]


def _only(mapping: dict[str, Any], allowed: set[str], at: str) -> None:
    for key in mapping:
        if key in allowed:
            continue
        # A name is told back when it is one; somebody's secret in the place of a name is not.
        shown = key if _SAFE_NAME.fullmatch(key) else "a name that is none"
        message = f"`{shown}` is not taken. {_INSTEAD.get(key, 'Aquifer does not read it; remove it.')}"
        raise BadConnection(f"{at}/{key}" if shown == key else at, "forbidden-key", message)


def _mapping(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadConnection(at, "not-a-mapping", "Names and values are expected here.")
    return value


def _text(mapping: dict[str, Any], key: str, at: str) -> str:
    value = mapping.get(key, "")
    if not isinstance(value, str):
        raise BadConnection(f"{at}/{key}", "not-a-text", f"`{key}` is a text.")
    return value


# -- YAML, as little of it as a kubeconfig needs -----------------------------------------------------


def _compose(text: str) -> Any:
    """Dicts, lists and texts. Every text stays as it is written; null is an empty one."""
    if len(text) > MOST_BYTES or len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise BadConnection("", "too-large", f"A kubeconfig has at most {MOST_BYTES} bytes.")
    try:
        return _build(_events(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BadConnection("", "malformed", f"This is not YAML or JSON{where}.") from None
    except (UnicodeError, RecursionError):
        raise BadConnection("", "malformed", "This is not YAML or JSON.") from None


def _events(text: str) -> Iterator[Any]:
    """What the scanner finds, looked at before anything is built of it: it may stop at any moment."""
    depth = documents = 0
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if count > _MOST_EVENTS:
            raise BadConnection("", "too-large", "A kubeconfig has not so many parts.")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise BadConnection("", "anchor", f"Anchors and aliases (& and *) are not taken{_line(event)}.")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise BadConnection("", "tag", f"Tags (!) are not taken{_line(event)}.")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise BadConnection("", "several", "There is more than one document in this.")
            if event.version or event.tags:
                raise BadConnection("", "directive", "Directives (%) are not taken.")
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_DEPTH:
                raise BadConnection("", "too-deep", f"It is nested more than {MOST_DEPTH} deep.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        yield event


def _line(event: Any) -> str:
    return f": line {event.start_mark.line + 1}"


def _build(events: Iterator[Any]) -> Any:
    for event in events:
        if isinstance(event, yaml.NodeEvent):
            built = _value(event, events)
            for _ in events:  # what comes after may still be refused
                pass
            return built
    raise BadConnection("", "empty", "There is nothing in this.")


def _value(event: Any, events: Iterator[Any]) -> Any:
    """As deep as MOST_DEPTH calls, and no deeper: `_events` counts."""
    if isinstance(event, yaml.ScalarEvent):
        return "" if event.implicit[0] and event.value in _NOTHING else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_value(event, events))
        return items
    mapping: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise BadConnection("", "bad-key", f"A name in this is no text{_line(event)}.")
        key = event.value
        if key == "<<":
            raise BadConnection("", "merge-key", f"Merge keys (<<) are not taken{_line(event)}.")
        if key in mapping:
            raise BadConnection("", "twice", f"A name stands twice in the same place{_line(event)}.")
        mapping[key] = _value(next(events), events)
    return mapping
