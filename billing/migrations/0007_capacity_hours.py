"""Hours of capacity get ids as all else that the API shows has. They are computed anew from what federation keeps."""

import django.db.models.functions.datetime
from django.db import migrations, models

import portal.models.base


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_ledger_walls")]
    operations = [
        migrations.DeleteModel("CapacityHour"),
        migrations.CreateModel(
            name="CapacityHour",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("site", models.CharField(max_length=63)),
                ("flavor_id", models.UUIDField()),
                ("flavor", models.CharField(max_length=63)),
                ("hour", models.DateTimeField()),
                ("capacity", models.BigIntegerField()),
                ("work", models.BigIntegerField()),
                ("reserved", models.BigIntegerField()),
                ("idle", models.BigIntegerField()),
                ("contested", models.BigIntegerField(default=0)),
                (
                    "computed_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["hour"], name="capacity_hour")],
                "constraints": [
                    models.UniqueConstraint(fields=("site", "flavor_id", "hour"), name="capacity_once"),
                    models.CheckConstraint(
                        name="capacity_adds_up",
                        condition=models.Q(
                            ("capacity", models.F("work") + models.F("reserved") + models.F("idle")),
                            ("idle__gte", 0),
                            ("reserved__gte", 0),
                            ("work__gte", 0),
                        ),
                    ),
                ],
            },
        ),
    ]
