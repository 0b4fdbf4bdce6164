"""Host cores are a flavor from the start: prices and quota for them can be set before any site is there."""

from django.db import migrations
from django.db.migrations.state import StateApps


def add(apps: StateApps, schema_editor: object) -> None:
    apps.get_model("portal", "ResourceFlavor").objects.get_or_create(name="cpu", defaults={"unit": "core"})


class Migration(migrations.Migration):
    dependencies = [("portal", "0002_append_only")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
