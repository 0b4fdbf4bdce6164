from django.db import migrations, models
from django.db.models import Case, Value, When


def say_way(apps, schema_editor):
    """By token or by certificate: there were no other ways."""
    apps.get_model("federation", "ClusterCredential").objects.update(
        way=Case(When(is_certificate=True, then=Value("certificate")), default=Value("token"))
    )


class Migration(migrations.Migration):

    dependencies = [
        ("federation", "0017_movable_work"),
    ]

    operations = [
        migrations.AddField(
            model_name="clustercredential",
            name="machines",
            field=models.JSONField(
                default=list, help_text="Of bare metal: name, server, system, fingerprint of each."
            ),
        ),
        migrations.AddField(
            model_name="clustercredential",
            name="way",
            field=models.CharField(
                choices=[
                    ("token", "token"),
                    ("certificate", "certificate"),
                    ("password", "password"),
                    ("ssh-key", "ssh-key"),
                    ("socket", "socket"),
                ],
                default="token",
                help_text="By what one is let in.",
                max_length=16,
            ),
            preserve_default=False,
        ),
        migrations.RunPython(say_way, migrations.RunPython.noop),
        migrations.RemoveField(model_name="clustercredential", name="is_certificate"),
    ]
