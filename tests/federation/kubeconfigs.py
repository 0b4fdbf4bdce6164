"""Kubeconfigs as the tests of their reader write and read them."""

import json
from typing import Any

import pytest
import yaml

from federation import kubeconfig
from federation.certificates import BadConnection
from federation.connections import Connection
from tests.certificates import NOW
from tests.certificates import kubeconfig as config


def read(value: Any) -> Connection:
    return kubeconfig.read(value if isinstance(value, str) else json.dumps(value), now=NOW)


def refusal(value: Any) -> BadConnection:
    with pytest.raises(BadConnection) as caught:
        read(value)
    error = caught.value
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None, "what was read is in no traceback"
    return error


FORMS = {
    "YAML": lambda value: yaml.safe_dump(value),
    "YAML, flow": lambda value: yaml.safe_dump(value, default_flow_style=True),
    "JSON": lambda value: json.dumps(value),
    "JSON, indented": lambda value: json.dumps(value, indent="\t"),
    "JSON, small": lambda value: json.dumps(value, separators=(",", ":")),
    "with a mark and comments": lambda value: "\ufeff# made by hand\n---\n" + yaml.safe_dump(value) + "\n...\n",
    "with line ends of Windows": lambda value: yaml.safe_dump(value).replace("\n", "\r\n"),
}
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
GOOD = yaml.safe_dump(config())
