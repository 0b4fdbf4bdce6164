from decimal import Decimal

import django.core.validators
import federation.models.inventory
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('federation', '0014_fleet_changes'),
    ]

    operations = [
        migrations.AddField(
            model_name='workload',
            name='deadline_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='workload',
            name='predicted_seconds',
            field=models.FloatField(editable=False, help_text='How long it will run, by what is known when it is submitted.', null=True),
        ),
        migrations.AlterField(
            model_name='pool',
            name='queue_order',
            field=models.CharField(choices=[('priority', 'Priority'), ('fifo', 'Fifo'), ('fair-share', 'Fair Share'), ('earliest-deadline', 'Earliest Deadline'), ('shortest-predicted', 'Shortest Predicted')], default='priority', max_length=32),
        ),
        migrations.AlterField(
            model_name='pool',
            name='policy',
            field=models.CharField(default='packing', max_length=200, validators=[federation.models.inventory.policy_rule]),
        ),
        migrations.AddIndex(
            model_name='workload',
            index=models.Index(condition=models.Q(('state', 'succeeded')), fields=['project', '-finished_at'], name='workload_runs'),
        ),
        migrations.AddField(
            model_name='site',
            name='weight',
            field=models.DecimalField(decimal_places=3, default=Decimal('1'), help_text='How much of the work it is to get beside other sites, where a policy goes by that.', max_digits=7, validators=[django.core.validators.MinValueValidator(Decimal('0.001'))]),
        ),
        migrations.AddConstraint(
            model_name='site',
            constraint=models.CheckConstraint(condition=models.Q(('weight__gt', 0)), name='site_weight_above_zero'),
        ),
    ]
