"""The words of `aquifer-agent run-cluster` and `run-site`, readable also where what it needs is not installed."""

import argparse
import logging
import os
from importlib import import_module
from pathlib import Path

from aquifer_agent.cluster.drivers import KINDS
from aquifer_agent.cluster.kube import ACCOUNT

DEFAULT_DRIVER = KINDS["kubernetes"].driver
_WRONG_USE = 2


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser("run-cluster", help="be the agent of a whole cluster (of the one this pod runs in)")
    run.add_argument("--hub", metavar="URL", default=os.environ.get("AQUIFER_HUB", ""), help="or AQUIFER_HUB")
    run.add_argument("--ca-file", metavar="FILE", help="trust this certificate authority and no other, of the hub")
    run.add_argument("--allow-http", action="store_true", help="send the secret in clear over the network")
    run.add_argument("--driver", metavar="MODULE:CLASS", default=DEFAULT_DRIVER, help=f"({DEFAULT_DRIVER})")
    run.add_argument("--kind", default="kubernetes", help="what kind of site it is (kubernetes)")
    run.add_argument("--settings", type=Path, metavar="FILE", help="settings of the driver: a JSON object")
    run.add_argument("--heartbeat", type=Path, metavar="FILE", help="touched every two seconds while all is well")
    run.add_argument("--identity-secret", default="aquifer-agent-identity", metavar="NAME")
    run.add_argument("--join-secret", default="aquifer-agent-join", metavar="NAME", help="the join token, key `token`")
    run.add_argument("--account", type=Path, default=ACCOUNT, metavar="DIR", help="the mounted service account")
    run.add_argument("--api-server", default="", metavar="URL", help="instead of the one that pods are told of")
    run.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="outside of a cluster: where `enrol` left an identity",
    )
    run.set_defaults(call=_run)
    _add_site(commands)


def _add_site(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The same agent for a site that is no cluster with pods: beside the host, with an identity that `enrol` left."""
    site = commands.add_parser("run-site", help="be the agent of a host with KVM or Docker, through its own socket")
    site.add_argument("--state-dir", required=True, type=Path, metavar="DIR", help="where `enrol` left an identity")
    site.add_argument("--driver", required=True, choices=sorted(KINDS), help="what kind of site it is")
    servers = ", ".join(f"{name}: {kind.server}" for name, kind in sorted(KINDS.items()) if kind.server)
    site.add_argument("--server", default="", metavar="URL", help=f"where it is ({servers})")
    site.add_argument("--settings", type=Path, metavar="FILE", help="more settings of the driver: a JSON object")
    site.add_argument("--heartbeat", type=Path, metavar="FILE", help="touched every two seconds while all is well")
    site.set_defaults(call=_run_site)


def _run_site(options: argparse.Namespace) -> int:
    return _called("run_site", options)


def _run(options: argparse.Namespace) -> int:
    return _called("run_cluster", options)


def _called(name: str, options: argparse.Namespace) -> int:
    """A bare machine's agent comes without drivers: they are imported only here."""
    try:
        command = import_module("aquifer_agent.cluster.command")
    except ImportError as error:
        logging.error("The agent of a cluster needs the drivers of Aquifer beside it: %s", error)
        return _WRONG_USE
    return int(getattr(command, name)(options))
