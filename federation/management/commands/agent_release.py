import base64
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from federation.actions import agent_releases
from federation.models import Agent, AgentRelease, Cluster
from portal.audit import SYSTEM
from portal.errors import DomainError


class Command(BaseCommand):
    help = "Releases of the agent: add what was signed, say who takes it, see how it goes."

    def add_arguments(self, parser: Any) -> None:
        parts = parser.add_subparsers(dest="part", required=True, parser_class=ArgumentParser)
        add = parts.add_parser("add", help="keep a release; nobody is offered it yet")
        add.add_argument("file", type=Path, help="aquifer-agent.pyz; its .manifest and .sig beside it")
        add.add_argument("--manifest", type=Path)
        add.add_argument("--signature", type=Path)
        add.add_argument("--keys", type=Path, help="refuse it unless the first key in this file has signed it")
        share = parts.add_parser("roll-out", help="offer it to so many of the clusters in mode auto")
        share.add_argument("serial", type=int)
        share.add_argument("percent", type=int)
        parts.add_parser("withdraw", help="offer it to nobody any more").add_argument("serial", type=int)
        mode = parts.add_parser("cluster", help="whether a cluster's agent takes releases by itself")
        mode.add_argument("cluster", help="SITE/CLUSTER, by slug; or `all`")
        mode.add_argument("mode", choices=("off", "notify", "auto"))
        mode.add_argument("--window", default="", metavar="HH:MM-HH:MM", help="only then, in UTC (always)")
        parts.add_parser("list", help="releases, agents, and what went wrong")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, "_" + options["part"].replace("-", "_"))(options)
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from error

    def _add(self, options: dict[str, Any]) -> None:
        file: Path = options["file"]
        manifest = options["manifest"] or file.with_name(f"{file.name}.manifest")
        signature = options["signature"] or file.with_name(f"{file.name}.sig")
        key = base64.b64decode(options["keys"].read_text().split()[1]) if options["keys"] else None
        release = agent_releases.add(
            by=SYSTEM, body=file.read_bytes(), manifest=manifest.read_text(encoding="utf-8"),
            signature=signature.read_text(), key=key,
        )  # fmt: skip
        self.stdout.write(f"Kept {release}. Nobody is offered it yet: agent_release roll-out {release.serial} PERCENT")

    def _roll_out(self, options: dict[str, Any]) -> None:
        release = agent_releases.roll_out(by=SYSTEM, serial=options["serial"], percent=options["percent"])
        self.stdout.write(f"{release} is offered to {release.percent} % of the clusters in mode auto.")

    def _withdraw(self, options: dict[str, Any]) -> None:
        self.stdout.write(f"{agent_releases.withdraw(by=SYSTEM, serial=options['serial'])} is offered to nobody.")

    def _cluster(self, options: dict[str, Any]) -> None:
        found = Cluster.objects.filter(driver="agent").exclude(state="retired").order_by("pk")
        if options["cluster"] != "all":
            site, _, slug = options["cluster"].partition("/")
            found = found.filter(site__slug=site, slug=slug)
        if not found:
            raise CommandError(f"There is no cluster {options['cluster']} with an agent; write it as SITE/CLUSTER.")
        for cluster in found:
            agent_releases.decide(by=SYSTEM, cluster=cluster, mode=options["mode"], window=options["window"])
        self.stdout.write(f"{len(found)} clusters: {options['mode']} {options['window']}".strip())

    def _list(self, options: dict[str, Any]) -> None:
        for release in AgentRelease.objects.without_file().order_by("-serial"):
            state = "withdrawn" if release.withdrawn_at else f"{release.percent} %"
            self.stdout.write(f"release {release}, {state}, to be used until {release.expires_at:%Y-%m-%d %H:%M} UTC")
        agents = Agent.objects.select_related("cluster__site", "cluster__agent_updates").filter(revoked_at=None)
        for agent in agents.order_by("cluster__site__slug", "cluster__slug"):
            updates = getattr(agent.cluster, "agent_updates", None) or "off"
            newer = agent_releases.newer_for(agent)
            words = [f"{agent.cluster.site.slug}/{agent.cluster.slug}: {agent.agent_version}", str(updates)]
            words += [f"{newer} is newer"] if newer else []
            said = agent.release or {}
            words += [f"{said.get('version')}: {said.get('state')}. {said.get('message', '')}"] if said else []
            self.stdout.write(", ".join(words).strip())
