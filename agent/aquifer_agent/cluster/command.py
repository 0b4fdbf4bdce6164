"""`aquifer-agent run-cluster` and `run-site`: be the agent of a whole cluster, or of a host that is a site."""

import argparse
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aquifer_agent import identity as machine
from aquifer_agent.cluster import identity
from aquifer_agent.cluster.drivers import KINDS
from aquifer_agent.cluster.kube import Cluster, KubeError
from aquifer_agent.cluster.loop import ClusterAgent
from aquifer_agent.cluster.site import BadDriver, Site, file_settings, load
from aquifer_agent.hub import Address, HubError

WRONG_USE = 2
WAIT_SECONDS = 10.0


def run_cluster(options: argparse.Namespace) -> int:
    try:
        settings = file_settings(options.settings)
        driver_class = load(options.driver)
        if options.state_dir is not None:
            return _run_by_folder(options, driver_class, settings)
        if not options.hub:
            raise BadDriver("Say where the hub is: --hub https://hub.example.org, or AQUIFER_HUB.")
        address = Address(options.hub.rstrip("/"), options.ca_file, options.allow_http)
        cluster = Cluster.around_us(options.account, options.api_server)
        known = _wait_for_identity(cluster, address, options)
    except BadDriver as error:
        logging.error("%s", error)
        return WRONG_USE
    site = Site(
        driver_class,
        known.cluster_id,
        options.kind,
        lambda: {**settings(), **_way_in(cluster)},
        lambda: {"ca_pem": cluster.ca_pem()},
        epoch=known.epoch,
    )
    return ClusterAgent(address, known.agent_token, site, options.heartbeat).run()


def _wait_for_identity(cluster: Cluster, address: Address, options: argparse.Namespace) -> identity.Known:
    """Until there is a join token, an API server and a hub. To be waiting is to be well."""
    while True:
        try:
            return identity.find(cluster, address, options.identity_secret, options.join_secret)
        except (identity.NoIdentity, KubeError, HubError) as error:
            logging.warning("%s Looking again in %.0f s.", error, WAIT_SECONDS)
        if options.heartbeat is not None:
            options.heartbeat.touch()
        time.sleep(WAIT_SECONDS)


def _way_in(cluster: Cluster) -> Mapping[str, Any]:
    """How a driver reaches the API server from a pod. The file is named, not read: its token is exchanged hourly."""
    return {"server": cluster.server, "token_file": str(cluster.token_file), "system_namespace": cluster.namespace}


def run_site(options: argparse.Namespace) -> int:
    """The identity is of this host's folder, and so is the one socket that the driver speaks to."""
    kind = KINDS[options.driver]
    server = options.server or kind.server
    try:
        if not server:
            raise BadDriver(f"Say where the {options.driver} is: --server URL.")
        settings = file_settings(options.settings)
        options.kind = options.driver
        return _run_by_folder(options, load(kind.driver), lambda: {**settings(), "server": server})
    except BadDriver as error:
        logging.error("%s", error)
        return WRONG_USE


def _run_by_folder(options: argparse.Namespace, driver_class: Any, settings: Callable[[], Mapping[str, Any]]) -> int:
    known = machine.load(options.state_dir.resolve())
    if known is None:
        raise BadDriver(f"{options.state_dir} holds no identity. Enrol first: aquifer-agent enrol --help")
    site = Site(driver_class, known.cluster_id, options.kind, settings)
    return ClusterAgent(known.address(), known.agent_token, site, options.heartbeat).run()
