"""What policies know of the sites of a pool: their weights, and how busy they are by what was measured."""

from datetime import timedelta
from typing import Any

from django.db.models import Avg, Case, F, FloatField, Value, When
from django.db.models.functions import Coalesce, Least, Now

from federation.models import Accelerator, Health, Pool, Site
from federation.placement.policies import named
from federation.placement.types import SiteFacts
from federation.states import NodeState

FRESH = timedelta(seconds=120)  # an older figure says nothing about now


def facts_of(pool: Pool) -> dict[str, SiteFacts]:
    """By slug of a site; nothing for a policy that does not look at sites.

    The load is the mean over the healthy devices that the pool offers there: of each what it was measured to be busy,
    of a part without figures of its own what its card was, and where nothing fresh was measured what is held on it.
    """
    if not named(pool.policy).needs_sites:
        return {}
    devices = Accelerator.objects.offered().filter(health=Health.HEALTHY).exclude(node__state=NodeState.GONE)
    if clusters := list(pool.clusters.values_list("pk", flat=True)):
        devices = devices.filter(node__cluster__in=clusters)
    if pool.model_names:
        devices = devices.filter(model__name__in=pool.model_names)
    held = Least((F("held_milli") + F("foreign_milli")) / Value(10.0), Value(100.0), output_field=FloatField())
    percent = Least(Coalesce(_fresh("figures"), _fresh("parent__figures"), held), Value(100.0))
    loads = dict(devices.order_by().values_list("node__cluster__site__slug").annotate(load=Avg(percent)))
    return {
        slug: SiteFacts(float(weight), loads.get(slug, 0.0) / 100.0)
        for slug, weight in Site.objects.values_list("slug", "weight")
    }


def _fresh(figures: str) -> Any:
    """Percent, or NULL."""
    return Case(When(**{f"{figures}__at__gt": Now() - FRESH}, then=F(f"{figures}__busy_percent")))
