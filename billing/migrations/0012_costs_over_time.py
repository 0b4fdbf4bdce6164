from django.db import migrations, models


class Migration(migrations.Migration):
    """Costs of a stretch of time over all tenants read the charges of that time, and not all there are."""

    dependencies = [("billing", "0011_payments")]

    operations = [
        migrations.AddIndex("charge", models.Index(fields=["period_start"], name="charge_period_start")),
    ]
