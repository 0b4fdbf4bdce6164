"""The Celery app and its timetable. Every sweep makes up for lost messages: it looks at rows, not at queues."""

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

TRANSPORT_ALIASES["files"] = "portal.broker:Transport"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("aquifer")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["portal", "federation", "billing"])


app.conf.beat_schedule = {
    # `expires`: ticks of half a minute ago are worth nothing; a queue that is behind must still get its sweeps.
    "sweep_allocations": {
        "task": "federation.tasks.sweep_allocations",
        "schedule": 1.0,
        "options": {"expires": 30},
    },
    "sweep_clusters": {"task": "federation.tasks.sweep_clusters", "schedule": 1.0, "options": {"expires": 30}},
    "sweep_pools": {"task": "federation.tasks.sweep_pools", "schedule": 1.0, "options": {"expires": 30}},
    "sweep_outbox": {"task": "portal.tasks.sweep_outbox", "schedule": 1.0, "options": {"expires": 30}},
    "probe": {"task": "portal.tasks.probe", "schedule": 10.0, "options": {"expires": 10}},
    "sweep_workloads": {
        "task": "federation.tasks.sweep_workloads",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "sweep_usage": {"task": "billing.tasks.sweep_usage", "schedule": 5.0, "options": {"expires": 5}},
    "sweep_gaps": {"task": "billing.tasks.sweep_gaps", "schedule": 60.0, "options": {"expires": 60}},
    "sweep_capacity": {"task": "billing.tasks.sweep_capacity", "schedule": 120.0, "options": {"expires": 120}},
    "sweep_invoices": {"task": "billing.tasks.sweep_invoices", "schedule": 10.0, "options": {"expires": 10}},
    "sweep_months": {"task": "billing.tasks.sweep_months", "schedule": 60.0, "options": {"expires": 60}},
    "sweep_exports": {"task": "billing.tasks.sweep_exports", "schedule": 5.0, "options": {"expires": 5}},
    "sweep_budgets": {"task": "billing.tasks.sweep_budgets", "schedule": 15.0, "options": {"expires": 15}},
    "sweep_wallets": {"task": "billing.tasks.sweep_wallets", "schedule": 300.0, "options": {"expires": 300}},
    "sweep_outputs": {"task": "federation.tasks.sweep_outputs", "schedule": 300.0, "options": {"expires": 300}},
    "sweep_leftovers": {
        "task": "portal.tasks.sweep_leftovers",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
}
