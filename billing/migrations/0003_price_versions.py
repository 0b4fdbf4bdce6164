"""A price is a version in a price book now."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_walls")]
    operations = [migrations.RenameModel("Price", "PriceVersion")]
