"""Every operation of the OpenAPI document, and how to carry each out on the things of a `World`."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from drf_spectacular.generators import SchemaGenerator

from portal.actions import sessions
from portal.models import ResourceFlavor
from tests import certificates
from tests.api.world import World
from tests.factories import PASSWORD

PREFIX = "/api/v1/"
Make = Callable[[World], dict[str, Any]]

# Operations that let somebody in, so they ask for no credential but the one in the body.
OPEN = {"session_post", "session_one_time_post", "agent_enrol_post", "agent_manifest_get"}
# What agents alone may call.
AGENTS = {"agent_sync_post", "agent_releases_get"}
# Everybody's own: who one is, what one sees. They name no object.
OWN = {"session_get", "session_delete", "session_language_post", "overview_get"}
# What everybody who is signed in may look at; it names no tenant.
UNSEEN = {"exports", "export-targets", "export-schedules"}  # by viewers of the platform
CATALOGUE = {"flavors", "accelerator-models", "pools", "placement-policies", "queue-orders"}

# Verbs that work from another state than the one their noun's example is in.
_AT = {
    "workloads_cancel": "workloads queued",
    "workloads_suspend": "workloads queued",
    "workloads_resume": "workloads suspended",
    "workloads_retry": "workloads failed",
    "invoices_cancel": "invoices issued",
    "invoices_fapiao": "invoices issued",
    "months_archive": "months closed",
    "clusters_retire": "clusters waiting",
    "clusters_connect": "clusters direct",
    "accelerators_cut": "accelerators to cut",
    "exports_cancel": "exports waiting",
}

_BODY: dict[str, Make] = {
    "session_post": lambda w: {"username": w.owner.username, "password": PASSWORD},
    "session_one_time_post": lambda w: {"token": sessions.make_one_time(user=w.owner)},
    "session_language_post": lambda w: {"language": "zh-Hans"},
    "agent_enrol_post": lambda w: {
        "join_token": w.join_secret, "machine_id": "m", "hostname": "h", "agent_version": "1",
    },
    "agent_sync_post": lambda w: {
        "boot_id": str(uuid4()), "seq": 1, "epoch": 1, "sent_at": "2026-11-21T08:00:00Z", "uptime_seconds": 5.5,
        "inventory": {"name": "n", "cpu_milli": 1000, "memory_mib": 1024, "rack": "r", "labels": {"k": "v"},
                      "is_ready": True, "message": "", "devices": [_DEVICE]},
        "work": [{"ref": str(uuid4()), "generation": 1, "epoch": 1, "state": "running", "ran_seconds": 1.0}],
        "figures": [{"uuid": "GPU-1", "busy_percent": 5.0}], "host": {"cpu_milli": 5, "memory_mib": 5},
        "logs": [{"ref": str(uuid4()), "offset": 0, "text": "hello"}],
        "agent": {"version": "1", "release": {"version": "2", "serial": 1, "state": "refused", "reason": "Downgrade",
                                             "message": "No."}},
    },
    "tenants_create": lambda w: {"slug": "new", "name": "New"},
    "departments_create": lambda w: {"tenant": str(w.tenant.pk), "slug": "new", "name": "New"},
    "projects_create": lambda w: {"tenant": str(w.tenant.pk), "slug": "new", "name": "New"},
    "users_create": lambda w: {"username": "new", "role": "tenant-member", "tenant": str(w.tenant.pk)},
    "memberships_create": lambda w: {
        "user": str(w.member.pk), "tenant": str(w.tenant.pk), "role": "tenant-viewer",
    },
    "tokens_create": lambda w: {"name": "new", "scopes": ["*"], "days": 1, "tenant": str(w.tenant.pk)},
    "quotas_create": lambda w: {
        "tenant": str(w.tenant.pk), "flavor": _other_flavor().name, "nominal_milli": 1000,
    },
    "sites_create": lambda w: {"slug": "new", "name": "New"},
    "clusters_create": lambda w: {
        "site": str(w.things["sites"].pk), "slug": "new", "name": "New", "kind": "kvm", "driver": "fake",
    },
    "clusters_connect": lambda w: {"kubeconfig": json.dumps(certificates.kubeconfig())},
    "clusters_check_connection": lambda w: {"server": certificates.SERVER, "token": certificates.token()},
    "nodes_power": lambda w: {"power": "on"},
    "join_tokens_create": lambda w: {"cluster": str(w.things["clusters waiting"].pk)},
    "pools_create": lambda w: {"slug": "new", "name": "New"},
    "images_create": lambda w: {
        "tenant": str(w.tenant.pk), "slug": "new", "name": "New", "form": "container", "reference": "r.example/new:1",
    },
    "templates_create": lambda w: {"tenant": str(w.tenant.pk), "slug": "new", "name": "New", "work": {"kind": "vm"}},
    "workloads_create": lambda w: {
        "project": str(w.estate.project.pk), "pool": str(w.estate.pool.pk), "name": "new", "accelerators": 1,
    },
    "estimates_create": lambda w: {
        "project": str(w.estate.project.pk), "pool": str(w.estate.pool.pk), "name": "new", "accelerators": 1,
    },
    "workloads_preview": lambda w: {
        "project": str(w.estate.project.pk), "pool": str(w.estate.pool.pk), "name": "new", "accelerators": 1,
    },
    "workloads_batch": lambda w: {
        "project": str(w.estate.project.pk), "pool": str(w.estate.pool.pk), "name": "many", "count": 3,
    },
    "pools_simulate": lambda w: {
        "workloads": [{"project": str(w.estate.project.pk), "name": "new", "accelerators": 1}],
        "quotas": [{"tenant": str(w.tenant.pk), "flavor": w.estate.flavor.name, "nominal_milli": 1000}],
        "closed_sites": [w.estate.site.slug], "added_nodes": [{"like": str(w.estate.node.pk), "count": 1}],
    },
    "pools_defragmentation": lambda w: {"for": "mix", "most_share": 0.5, "seconds": 1},
    "pools_apply_defragmentation": lambda w: {
        "moves": [{"workload": str(w.things["workloads"].pk), "source": str(w.estate.node.pk),
                   "target": str(uuid4())}],
    },
    "prices_create": lambda w: {"flavor": w.estate.flavor.name, "tenant": str(w.tenant.pk), "unit_price": "1"},
    "price_books_create": lambda w: {"slug": "new", "name": "New", "currency": "CNY"},
    "tax_rules_create": lambda w: {"book": w.things["price-books"].slug, "name": "New", "rate": "0.09"},
    "billing_terms_create": lambda w: {"tenant": str(w.tenant.pk), "book": w.things["price-books"].slug},
    "commitments_create": lambda w: {
        "tenant": str(w.tenant.pk), "flavor": w.estate.flavor.name, "held_milli": 1000, "unit_price": "1",
        "start_at": "2026-12-01T00:00:00Z", "end_at": "2026-12-02T00:00:00Z",
    },
    "proposals_create": lambda w: {
        "tenant": str(w.tenant.pk), "book": w.things["price-books"].slug,
        "period_start": "2026-11-01T00:00:00Z", "period_end": "2026-11-02T00:00:00Z",
    },
    "allocations_restart": lambda w: {"is_hard": True},
    "budgets_create": lambda w: {
        "tenant": str(w.tenant.pk), "project": str(w.things["projects"].pk), "limit": "500",
    },
    "budgets_partial_update": lambda w: {"limit": "700", "on_exhausted": "stop"},
    "wallets_partial_update": lambda w: {"overdraft": "50"},
    "credits_create": lambda w: {"tenant": str(w.tenant.pk), "kind": "top-up", "amount": "100"},
    "exports_create": lambda w: {"tenant": str(w.tenant.pk), "kind": "focus-1.4", "format": "csv", "period": "2026-11"},
    "export_targets_create": lambda w: {
        "tenant": str(w.tenant.pk), "slug": "other", "endpoint": "https://10.0.0.9", "bucket": "finance",
        "access_key": "a", "secret_key": "b",
    },
    "export_schedules_create": lambda w: {
        "tenant": str(w.tenant.pk), "kind": "card-hours", "format": "xlsx", "every": "month",
    },
    "export_schedules_partial_update": lambda w: {"is_paused": True},
    "invoices_draft": lambda w: {"tenant": str(w.tenant.pk), "period": "2026-11"},
    "invoices_cancel": lambda w: {"message": "Wrong project"},
    "billing_profiles_create": lambda w: {"tenant": str(w.unprofiled.pk), "legal_name": "New"},
    "billing_profiles_partial_update": lambda w: {"legal_name": "Renamed"},
    "payments_create": lambda w: {
        "invoice": str(w.things["invoices issued"].pk), "amount": "1.00", "received_on": "2026-11-20",
        "reference": "B-2",
    },
    "payments_reverse": lambda w: {"message": "Bounced"},
    "months_close": lambda w: {"accept": ["unrated-usage", "open-gaps"]},
    "accelerators_cut": lambda w: {"profiles": {"1g.10gb": 7}},
    "quotas_partial_update": lambda w: {"nominal_milli": 1},
}  # fmt: skip
_RENAME = {"name": "Renamed"}
_DEVICE = {"index": 0, "uuid": "GPU-1", "vendor": "nvidia", "model": "A100-80G", "memory_mib": 81920}


def _other_flavor() -> ResourceFlavor:
    return ResourceFlavor.objects.get_or_create(name="cpu", unit="core")[0]


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str  # with {id}
    takes_body: bool

    @property
    def noun(self) -> str:
        return self.path.removeprefix(PREFIX).split("/")[0]

    @property
    def is_list(self) -> bool:
        """Shows what there is, and names no object."""
        return self.method == "GET" and "{id}" not in self.path

    def thing(self, world: World) -> Any:
        name = _AT.get(self.id, self.noun)
        return world.things[name]  # a KeyError here: a new noun, which World is to have one of

    def address(self, world: World) -> str:
        return self.path.replace("{id}", str(self.thing(world).pk)) if "{id}" in self.path else self.path

    def body(self, world: World) -> dict[str, Any] | None:
        if not self.takes_body:
            return None
        if self.id in _BODY:
            return _BODY[self.id](world)
        assert self.method == "PATCH", f"{self.id} takes a body; say in _BODY what to send"
        return _RENAME

    def send(self, client: Any, world: World, body: Any = None) -> Any:
        headers = {}
        if self.method == "PATCH":
            headers["If-Match"] = f'"{self.thing(world).version}"'
        cookies = deepcopy(client.cookies)
        answer = client.generic_json(
            self.method, self.address(world), self.body(world) if body is None else body, headers=headers
        )
        client.cookies = cookies  # after signing out, too
        return answer


def document() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def _operations() -> list[Operation]:
    return [
        Operation(said["operationId"], method.upper(), path, "requestBody" in said)
        for path, methods in document()["paths"].items()
        for method, said in methods.items()
    ]


OPERATIONS = _operations()
