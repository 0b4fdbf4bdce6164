"""Every command of docs/api.md is run, in order, and answers as it says there."""

import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from portal import errors
from portal.actions import tokens
from portal.http import middleware, problems
from portal.permissions import Role
from tests import factories
from tests.api.conftest import Client

pytestmark = pytest.mark.django_db
TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|json)\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[tuple[list[str], int]]:
    """(words of a curl command, the status it says) for each command of a block."""
    found = []
    for part in re.findall(r"(curl .*?)\s+# (\d{3})$", block, flags=re.DOTALL | re.MULTILINE):
        found.append((shlex.split(part[0].replace("\\\n", " ")), int(part[1])))
    assert len(found) == block.count("curl "), f"every command ends with its status:\n{block}"
    return found


def send(words: list[str]) -> Any:
    """A curl command, by the test client."""
    method, headers, body, address = "", {}, None, ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-o":
            next(rest)
        elif word == "--json":
            body = json.loads(next(rest))
        else:
            assert word.startswith("http://hub.example/"), word
            address = word
    parts = urlsplit(address)
    client = Client()
    where = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return client.generic_json(method or ("GET" if body is None else "POST"), where, body, headers=headers)


def test_every_command_answers_as_it_says() -> None:
    project = factories.project()
    cluster = factories.cluster()
    factories.quota(project)
    user = factories.user(Role.TENANT_OWNER, project.tenant)
    _, secret = tokens.create(by=user, user=user, name="docs", scopes=["*"], days=1)
    known = {"HUB": "http://hub.example", "TOKEN": secret, "PROJECT": str(project.pk)}
    known["POOL"] = str(factories.pool(cluster).pk)
    ran, answer = 0, None
    for kind, block in BLOCKS:
        for name, value in known.items():
            block = block.replace(f"${name}", value)
        if kind == "json":
            assert answer is not None
            assert answer.json() == json.loads(block)
            continue
        for words, status in commands(block):
            answer = send(words)
            assert answer.status_code == status, f"{words}: {answer.getvalue()!r}"
            if status == 201 and "id" in answer.json():
                known["WORKLOAD"] = answer.json()["id"]
            ran += 1
    assert ran == TEXT.count("curl ") >= 15


def test_the_table_of_codes_is_whole() -> None:
    """Every code that a caller may meet is in the table, and the table names no other."""
    listed = set(re.findall(r"`([a-z-]+)`", TEXT.split("| Status |")[1].split("\n\n")[0])) - {"code"}
    source = "".join(Path(module.__file__ or "").read_text() for module in (errors, problems, middleware))
    assert {code for code in listed if f'"{code}"' not in source} == set()
    met = {error.code for error in errors.DomainError.__subclasses__()}
    others = {"login-failed", "report-out-of-order", "agent-identity-in-use"}  # of the console and of agents
    assert met - listed <= others
