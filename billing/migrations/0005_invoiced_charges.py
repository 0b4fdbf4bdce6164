"""Which charges stand behind an invoice, and lines that are not usage: purchases, credits, taxes."""

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0004_ledger'),
    ]

    operations = [
        migrations.CreateModel(
            name='InvoicedCharge',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('sign', models.SmallIntegerField(default=1)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='invoiceline',
            name='invoiceline_cost_is_product',
        ),
        migrations.AddField(
            model_name='invoice',
            name='posted_in',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='invoices', to='billing.ledgertransaction'),
        ),
        migrations.AddField(
            model_name='invoiceline',
            name='meter',
            field=models.CharField(blank=True, default='', help_text='Empty: what the flavor is counted in.', max_length=16),
        ),
        migrations.AlterField(
            model_name='invoiceline',
            name='category',
            field=models.CharField(choices=[('usage', 'Usage'), ('purchase', 'Purchase'), ('credit', 'Credit'), ('tax', 'Tax'), ('adjustment', 'Adjustment')], default='usage', max_length=16),
        ),
        migrations.AddConstraint(
            model_name='invoiceline',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('category__in', ['credit', 'tax', 'adjustment']), ('unit_price__isnull', True)), models.Q(('category', 'usage'), ('cost', 0), ('price_id__isnull', True), ('unit_price__isnull', True)), models.Q(('category__in', ['usage', 'purchase']), ('cost', django.db.models.expressions.CombinedExpression(models.F('quantity'), '*', models.F('unit_price'))), ('price_id__isnull', False), ('unit_price__isnull', False)), _connector='OR'), name='invoiceline_cost_is_product'),
        ),
        migrations.AddField(
            model_name='invoicedcharge',
            name='charge',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='invoiced', to='billing.charge'),
        ),
        migrations.AddField(
            model_name='invoicedcharge',
            name='invoice',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='charged', to='billing.invoice'),
        ),
        migrations.AddConstraint(
            model_name='invoicedcharge',
            constraint=models.UniqueConstraint(fields=('charge', 'invoice'), name='charge_once_on_an_invoice'),
        ),
        migrations.AddConstraint(
            model_name='invoicedcharge',
            constraint=models.CheckConstraint(condition=models.Q(('sign__in', [1, -1])), name='charge_asked_or_taken_back'),
        ),
    ]
