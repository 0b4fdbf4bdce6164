"""`aquifer-agent enrol` once, then `aquifer-agent run` for good; `aquifer-agent run-cluster` inside a cluster."""

import argparse
import fcntl
import logging
import os
import pwd
import sys
from pathlib import Path

from aquifer_agent import VERSION, cgroups, containers, identity
from aquifer_agent.agent import RESTART, Agent
from aquifer_agent.cluster import options as cluster_options
from aquifer_agent.hub import Address, BadAddress, HubError
from aquifer_agent.updates import manifest, releases, signing

FAILED, WRONG_USE, ALREADY_RUNNING = 1, 2, 4
RELEASE_KEYS = "release-keys"  # in the state directory, or in /etc/aquifer-agent
_SYSTEM_KEYS = Path("/etc/aquifer-agent") / RELEASE_KEYS


class Usage(Exception):
    """Said to the user as it is; exit code 2."""


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        return int(options.call(options))
    except (Usage, BadAddress, manifest.BadKeys) as error:
        print(f"aquifer-agent: {error}", file=sys.stderr)
        return WRONG_USE
    except (HubError, OSError) as error:
        print(f"aquifer-agent: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aquifer-agent", description=__doc__)
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(required=True)
    enrol = commands.add_parser("enrol", help="make this machine known to a hub, once")
    enrol.add_argument("--hub", required=True, metavar="URL", help="https://hub.example.org")
    token = enrol.add_mutually_exclusive_group(required=True)
    token.add_argument("--join-token-file", type=Path, metavar="FILE", help="file with the one-time join token")
    token.add_argument("--join-token-env", metavar="NAME", help="environment variable with the join token")
    enrol.add_argument("--state-dir", required=True, type=Path, metavar="DIR", help="where the agent keeps its state")
    enrol.add_argument("--name", default="", help="the node's name at the hub (the host name)")
    enrol.add_argument("--ca-file", metavar="FILE", help="trust this certificate authority and no other")
    enrol.add_argument("--allow-http", action="store_true", help="send the secret in clear over the network")
    enrol.add_argument("--release-keys", type=Path, metavar="FILE", help="whose releases of the agent it may take")
    enrol.set_defaults(call=_enrol)
    run = commands.add_parser("run", help="report to the hub and run what it orders")
    run.add_argument("--state-dir", required=True, type=Path, metavar="DIR")
    run.add_argument("--on-exit", choices=("keep", "stop"), default="keep", help="what happens to work (keep)")
    run.add_argument("--run-as", metavar="USER", help="run work as this user (only when started as root)")
    run.add_argument(
        "--limits", choices=("auto", "cgroup2", "cgroup1", "rlimit"), default="auto", help="how work is limited (auto)"
    )
    run.add_argument(
        "--allow-partitioning", action="store_true",
        help="let operators of the hub cut cards into parts (MIG) and whole again (only when started as root)",
    )  # fmt: skip
    run.add_argument(
        "--release-keys",
        type=Path,
        metavar="FILE",
        help=f"whose releases of the agent it may take (what `enrol` was given, else {_SYSTEM_KEYS})",
    )
    run.add_argument(
        "--most-output-mib", type=int, default=2048, metavar="MIB", help="kept of all work's output together (2048)"
    )
    run.add_argument(
        "--runtime", choices=containers.CHOICES, default="auto", help="what runs work that names an image (auto)"
    )
    run.add_argument("--container-network", default="", metavar="NAME", help="of containers (the engine's default)")
    run.add_argument("--once", action="store_true", help="one report, obey the answer, exit")
    run.set_defaults(call=_run)
    cluster_options.add_to(commands)
    signing.add_to(commands)
    return parser


def _enrol(options: argparse.Namespace) -> int:
    state_dir: Path = options.state_dir.resolve()
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.release_keys:  # by the operator's hand, never from the hub
        manifest.read_keys(options.release_keys)
        (state_dir / RELEASE_KEYS).write_bytes(options.release_keys.read_bytes())
    if (known := identity.load(state_dir)) is not None:
        if known.hub != options.hub.rstrip("/"):
            raise Usage(
                f"Already enrolled at {known.hub}. Use another --state-dir, or remove {state_dir}/identity.json."
            )
        print(f"Already enrolled at {known.hub} as cluster {known.cluster}; nothing to do.")
        return 0
    ca_file = str(Path(options.ca_file).absolute()) if options.ca_file else None
    address = Address(options.hub.rstrip("/"), ca_file, options.allow_http)
    known = identity.enrol(state_dir, address, _join_token(options), options.name)
    print(f"Enrolled at {known.hub} as cluster {known.cluster}.")
    return 0


def _join_token(options: argparse.Namespace) -> str:
    if options.join_token_file:
        token = options.join_token_file.read_text(encoding="utf-8").strip()
    else:
        token = os.environ.pop(options.join_token_env, "").strip()
    if not token:
        raise Usage("The join token is empty.")
    return str(token)


def _run(options: argparse.Namespace) -> int:
    state_dir: Path = options.state_dir.resolve()
    known = identity.load(state_dir)
    if known is None:
        raise Usage(f"{state_dir} holds no identity. Enrol first: aquifer-agent enrol --help")
    if options.run_as:
        _check_user(options.run_as)
        state_dir.chmod(0o711)
    if options.allow_partitioning and os.geteuid() != 0:
        raise Usage("--allow-partitioning needs root.")
    lock = _lock(state_dir)
    if lock is None:
        print(f"aquifer-agent: another agent runs with {state_dir}.", file=sys.stderr)
        return ALREADY_RUNNING
    keys = _release_keys(options.release_keys, state_dir)
    if not options.once:
        releases.enter(state_dir)
    if options.run_as is None:
        logging.warning("Work runs as this same user and can read all that it can. --run-as USER keeps them apart.")
    limits = cgroups.detect(options.limits, state_dir)
    runtimes = containers.detect(options.runtime, options.container_network)
    try:
        most = max(options.most_output_mib, 1) * 1024**2
        agent = Agent(
            known, state_dir, limits, options.run_as, keys=keys, most_output_bytes=most,
            may_partition=options.allow_partitioning, runtimes=runtimes,
        )  # fmt: skip
        code = agent.run(on_exit=options.on_exit, once=options.once)
    finally:
        limits.close()
    if code == RESTART:
        releases.again()
    return code


def _release_keys(given: Path | None, state_dir: Path) -> list[bytes]:
    """Those of the operator. Without any the agent takes no release, whatever the hub offers."""
    own = state_dir / RELEASE_KEYS
    file = given or (own if own.exists() else _SYSTEM_KEYS)
    if given is None and not file.exists():
        return []
    return manifest.read_keys(file)


def _check_user(name: str) -> None:
    if os.geteuid() != 0:
        raise Usage("--run-as needs root.")
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise Usage(f"There is no user {name} here.") from None


def _lock(state_dir: Path) -> int | None:
    """Held until the process ends, however it ends. None when another holds it."""
    fd = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
