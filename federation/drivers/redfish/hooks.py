"""What is done to a server between tenants and before one, by somebody else: the operator's own programs, asked by
HTTPS.

A hook is asked again and again with the same key until it says 200 (done) or refuses (4xx). What it is told is signed:
HMAC-SHA256 of the moment, a full stop and the body, in hexadecimal.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from federation.drivers.redfish.machines import Machine, Rules
from federation.drivers.redfish.wire import Line, Refused, Silent

_LATER = (408, 425, 429)


class Said(StrEnum):
    DONE = "done"
    RUNNING = "running"
    REFUSED = "refused"
    NOTHING = "nothing"  # no answer, or a broken one: ask again


@dataclass(frozen=True, slots=True)
class Answer:
    said: Said
    message: str = ""
    seed: str = ""  # address of an image that a prepare hook made for this lease


async def ask(
    rules: Rules, name: str, machine: Machine, told: Mapping[str, Any], *, cluster: str, until: float
) -> Answer:
    """One question to one hook, with what it may know of the lease."""
    body = {"hook": name, "cluster": cluster, "machine": machine.name, **told}
    key = hashlib.sha256(f"{cluster}/{told['ref']}/{name}".encode()).hexdigest()
    at = str(int(time.time()))
    # The line writes the body as json.dumps does: what is signed is what is sent.
    signed = hmac.new(rules.hook_secret.encode(), f"{at}.{json.dumps(body)}".encode(), hashlib.sha256).hexdigest()
    headers = {"Idempotency-Key": key, "X-Aquifer-Timestamp": at, "X-Aquifer-Signature": f"sha256={signed}"}
    to = replace(rules.hooks[name], headers=headers)
    async with Line(to, until) as line:
        try:
            status, answer = await line.ask("POST", rules.paths[name], body)
        except Silent as error:
            return Answer(Said.NOTHING, str(error))
        except Refused as refused:
            is_final = 400 <= refused.status < 500 and refused.status not in _LATER
            return Answer(Said.REFUSED if is_final else Said.NOTHING, str(refused))
    message = str(answer.get("message") or "")[:200]
    seed = str(answer.get("seed") or "")
    if seed and not seed.startswith(("https://", "http://")):
        return Answer(Said.REFUSED, "The prepare hook named a seed that is no address.")
    return Answer(Said.RUNNING if status == 202 else Said.DONE, message, seed)
