import socket
from typing import Any

from django.core.management.base import BaseCommand

from federation.actions import pools, sites
from federation.models import Cluster, Pool, Site
from portal.audit import SYSTEM


class Command(BaseCommand):
    help = "Make a bare-metal site of this very machine and print a join token for its agent (nothing if it has one)."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--print-join-token", action="store_true")
        parser.add_argument("--again", action="store_true", help="The agent has lost its identity: let it join anew.")

    def handle(self, *args: Any, **options: Any) -> None:
        site = Site.objects.filter(slug="this-machine").first() or sites.add(
            by=SYSTEM, slug="this-machine", name="This machine"
        )
        cluster = Cluster.objects.filter(site=site).first() or sites.add_cluster(
            by=SYSTEM, site=site, slug="this-machine", name=socket.gethostname(), kind="baremetal", driver="agent"
        )
        if not Pool.objects.filter(slug="this-machine").exists():
            pools.create(by=SYSTEM, slug="this-machine", name="This machine", clusters=[cluster])
        agent = getattr(cluster, "agent", None)
        if agent is not None and options["again"]:
            agent.delete()
            cluster.refresh_from_db()
            agent = None
        if agent is None and options["print_join_token"]:
            self.stdout.write(sites.invite_agent(by=SYSTEM, cluster=Cluster.objects.get(pk=cluster.pk))[1])
