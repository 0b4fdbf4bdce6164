"""Who this agent is: kept in the state directory, readable by its owner alone."""

import hashlib
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path

from aquifer_agent import VERSION, files
from aquifer_agent.fences import Fences
from aquifer_agent.hub import Address, HubError, call

FILE, FENCES = "identity.json", "fences.json"


@dataclass(frozen=True, slots=True)
class Identity:
    hub: str
    agent_token: str = field(repr=False)
    cluster_id: str
    cluster: str
    name: str
    ca_file: str | None = None
    allow_http: bool = False

    def address(self) -> Address:
        return Address(self.hub, self.ca_file, self.allow_http)


def load(state_dir: Path) -> Identity | None:
    kept = files.read_json(state_dir / FILE)
    if kept is None:
        return None
    (state_dir / FILE).chmod(0o600)
    return Identity(**{name: kept[name] for name in Identity.__dataclass_fields__ if name in kept})


def enrol(state_dir: Path, address: Address, join_token: str, name: str) -> Identity:
    """Use up the join token. Raises HubError when the hub refuses, OSError when the identity cannot be kept."""
    files.write_json(state_dir / ".writable", {})  # before the token is spent
    (state_dir / ".writable").unlink()
    body = {
        "join_token": join_token,
        "machine_id": machine_id(),
        "hostname": socket.gethostname(),
        "agent_version": VERSION,
    }
    answer = call(address, "", "/api/v1/agent/enrol", body)
    try:
        token, cluster_id, cluster = (str(answer[field]) for field in ("agent_token", "cluster_id", "cluster"))
        epoch = int(answer["epoch"])
    except (KeyError, TypeError, ValueError) as error:
        raise HubError(f"The answer of {address.url} is not that of a hub: {error} is missing or wrong.") from error
    Fences(state_dir / FENCES, cluster_id).raise_epoch(epoch)
    identity = Identity(
        hub=address.url,
        agent_token=token,
        cluster_id=cluster_id,
        cluster=cluster,
        name=name or socket.gethostname(),
        ca_file=address.ca_file,
        allow_http=address.allow_http,
    )
    files.write_json(state_dir / FILE, asdict(identity))
    return identity


def machine_id() -> str:
    """The same on every start, and not /etc/machine-id itself, which is to be kept to the machine."""
    for place in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            own = Path(place).read_text().strip()
        except OSError:
            continue
        if own:
            return hashlib.sha256(f"aquifer-agent:{own}".encode()).hexdigest()[:32]
    return hashlib.sha256(f"aquifer-agent:{socket.gethostname()}".encode()).hexdigest()[:32]
