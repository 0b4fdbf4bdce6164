"""Who the agent of a cluster is: one Secret beside it, filled once by means of a one-time join token.

A pod keeps nothing. The Secrets are made with the agent, so that it needs no right to make any: it may read two by
name, write the one and delete the other.
"""

import hashlib
import json
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aquifer_agent import VERSION
from aquifer_agent.cluster.kube import Cluster, KubeError
from aquifer_agent.hub import Address, HubError, call

logger = logging.getLogger(__name__)
KEY, JOIN_KEY = "identity.json", "token"
_WRITE_ATTEMPTS = 5


class NoIdentity(Exception):
    """Said to the operator as it is."""


@dataclass(frozen=True, slots=True)
class Known:
    agent_token: str = field(repr=False)
    cluster_id: str
    cluster: str
    epoch: int = 1


def find(
    cluster: Cluster, address: Address, identity: str, join: str, sleep: Callable[[float], None] = time.sleep
) -> Known:
    """The identity in the Secret, or a new one by the join token in the other. Raises NoIdentity, HubError, KubeError.

    A join token that is there is new (it is deleted after its use), so it goes before what is known.
    """
    known = _read(cluster, identity)
    token = _join_token(cluster, join)
    if token:
        try:
            return _enrol(cluster, address, identity, join, token, sleep)
        except HubError as error:
            if error.status != 401:
                raise
            known = _read(cluster, identity) or known  # another pod may have been first with it
            if known is None:
                raise NoIdentity(f"{error} Ask the hub for a new one and put it into the Secret {join}.") from None
            logger.warning("The join token in the Secret %s is used or has expired; going on without it.", join)
    if known is None:
        raise NoIdentity(f"The Secret {identity} is empty, and the Secret {join} holds no join token.")
    return known


def _enrol(
    cluster: Cluster, address: Address, identity: str, join: str, token: str, sleep: Callable[[float], None]
) -> Known:
    kept = cluster.secret(identity)
    if kept is None:
        raise NoIdentity(f"There is no Secret {identity} in {cluster.namespace} to keep an identity in.")
    cluster.write(identity, {}, kept.version)  # before the token is spent: may we write there?
    machine = hashlib.sha256(f"aquifer-agent:{cluster.uid()}".encode()).hexdigest()[:32]
    body = {"join_token": token, "machine_id": machine, "hostname": socket.gethostname(), "agent_version": VERSION}
    answer = call(address, "", "/api/v1/agent/enrol", body)
    try:
        known = Known(
            str(answer["agent_token"]), str(answer["cluster_id"]), str(answer["cluster"]), int(answer["epoch"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise HubError(f"The answer of {address.url} is not that of a hub: {error} is missing or wrong.") from error
    _keep(cluster, identity, known, sleep)
    logger.info("Enrolled at %s as cluster %s.", address.url, known.cluster)
    try:
        cluster.delete(join)
    except KubeError as error:
        logger.warning("The used join token stays in the Secret %s: %s", join, error)
    return known


def _keep(cluster: Cluster, identity: str, known: Known, sleep: Callable[[float], None]) -> None:
    """The token is spent, so this has to succeed: it is tried again while there is any hope."""
    text = json.dumps(
        {
            "agent_token": known.agent_token,
            "cluster_id": known.cluster_id,
            "cluster": known.cluster,
            "epoch": known.epoch,
        }
    )
    for attempt in range(_WRITE_ATTEMPTS):
        try:
            kept = cluster.secret(identity)
            cluster.write(identity, {KEY: text}, kept.version if kept else "")
            return
        except KubeError as error:
            if attempt + 1 == _WRITE_ATTEMPTS:
                raise
            logger.warning("The identity cannot be kept yet: %s", error)
            sleep(2.0**attempt)


def _read(cluster: Cluster, identity: str) -> Known | None:
    kept = cluster.secret(identity)
    if kept is None or KEY not in kept.data:
        return None
    try:
        found = json.loads(kept.data[KEY])
        return Known(str(found["agent_token"]), str(found["cluster_id"]), str(found["cluster"]), int(found["epoch"]))
    except (KeyError, TypeError, ValueError):
        raise NoIdentity(f"What the Secret {identity} holds is no identity. Empty it, and join anew.") from None


def _join_token(cluster: Cluster, join: str) -> str:
    kept = cluster.secret(join) if join else None
    return (kept.data.get(JOIN_KEY) or "").strip() if kept else ""
