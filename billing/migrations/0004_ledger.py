"""Price books, the ledger and its charges, commitments, capacity, gaps; usage records that are kept once charged.

Prices that are there come into one default book for each of their currencies.
"""

import billing.rating.kinds
import billing.states
import datetime
import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.functions.math
import django.db.models.lookups
import portal.models.base
from decimal import Decimal
from django.db import migrations, models

BOOKS = """
INSERT INTO billing_pricebook (id, version, slug, name, currency, is_default)
SELECT gen_random_uuid(), 1, 'list-' || lower(currency), 'List prices in ' || currency, currency, true
FROM (SELECT DISTINCT currency FROM billing_priceversion) found;
-- The trigger still knows the table by its old name; 0006 makes it anew. Windows do not change here.
ALTER TABLE billing_priceversion DISABLE TRIGGER price_windows_apart;
UPDATE billing_priceversion p SET book_id = b.id FROM billing_pricebook b WHERE b.currency = p.currency;
ALTER TABLE billing_priceversion ENABLE TRIGGER price_windows_apart;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0003_price_versions'),
        ('portal', '0003_cpu_flavor'),
    ]

    operations = [
        migrations.CreateModel(
            name='BillingTerm',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('tenant_class', models.CharField(choices=[('internal', 'Internal'), ('partner', 'Partner'), ('external', 'External')], default='external', max_length=16)),
                ('is_taxed', models.BooleanField(default=True)),
                ('valid_from', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='CapacityHour',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('site', models.CharField(max_length=63)),
                ('flavor_id', models.UUIDField()),
                ('flavor', models.CharField(max_length=63)),
                ('hour', models.DateTimeField()),
                ('capacity', models.BigIntegerField()),
                ('work', models.BigIntegerField()),
                ('reserved', models.BigIntegerField()),
                ('idle', models.BigIntegerField()),
                ('contested', models.BigIntegerField(default=0)),
                ('computed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
        ),
        migrations.CreateModel(
            name='Charge',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('position', models.PositiveIntegerField(help_text='Within its transaction.')),
                ('category', models.CharField(choices=[('usage', 'Usage'), ('purchase', 'Purchase'), ('credit', 'Credit'), ('tax', 'Tax'), ('adjustment', 'Adjustment')], max_length=16)),
                ('is_correction', models.BooleanField(default=False, help_text='Of a month that was invoiced before.')),
                ('is_minimum', models.BooleanField(default=False, help_text='Beyond what ran: up to the least, or a whole step.')),
                ('tenant_id', models.UUIDField()),
                ('tenant', models.CharField(max_length=200)),
                ('project_id', models.UUIDField(null=True)),
                ('project', models.CharField(blank=True, default='', max_length=200)),
                ('workload_id', models.UUIDField(null=True)),
                ('workload', models.CharField(blank=True, default='', max_length=200)),
                ('workload_kind', models.CharField(blank=True, default='', max_length=16)),
                ('allocation_id', models.UUIDField(null=True)),
                ('user', models.CharField(blank=True, default='', help_text='Who submitted the work.', max_length=150)),
                ('site', models.CharField(blank=True, default='', max_length=63)),
                ('cluster', models.CharField(blank=True, default='', max_length=63)),
                ('pool', models.CharField(blank=True, default='', max_length=63)),
                ('node', models.CharField(blank=True, default='', max_length=253)),
                ('flavor_id', models.UUIDField(null=True)),
                ('flavor', models.CharField(blank=True, default='', max_length=63)),
                ('model', models.CharField(blank=True, default='', max_length=64)),
                ('slicing_mode', models.CharField(blank=True, default='', max_length=16)),
                ('service_class', models.CharField(blank=True, default='', max_length=16)),
                ('tenant_class', models.CharField(blank=True, default='', max_length=16)),
                ('meter', models.CharField(blank=True, choices=[('accelerator', 'accelerator'), ('cpu', 'cpu'), ('memory', 'memory'), ('energy', 'energy'), ('reservation', 'reservation')], default='', max_length=16)),
                ('sku', models.CharField(blank=True, default='', max_length=128)),
                ('billing_period_start', models.DateTimeField()),
                ('billing_period_end', models.DateTimeField()),
                ('period_start', models.DateTimeField()),
                ('period_end', models.DateTimeField()),
                ('milli_seconds', models.BigIntegerField(default=0, help_text='Consumed: seconds x 1/1000 of a unit.')),
                ('quantity', models.DecimalField(decimal_places=9, max_digits=24, null=True)),
                ('unit', models.CharField(blank=True, default='', help_text='As Accelerator-Hours.', max_length=32)),
                ('tier', models.PositiveSmallIntegerField(default=0)),
                ('pricing', models.CharField(blank=True, choices=[('standard', 'standard'), ('committed', 'committed'), ('dynamic', 'dynamic')], default='', max_length=16)),
                ('list_unit_price', models.DecimalField(decimal_places=6, max_digits=18, null=True)),
                ('contracted_unit_price', models.DecimalField(decimal_places=6, max_digits=18, null=True)),
                ('list_cost', models.DecimalField(decimal_places=15, default=Decimal('0'), max_digits=38)),
                ('contracted_cost', models.DecimalField(decimal_places=15, default=Decimal('0'), max_digits=38)),
                ('billed_cost', models.DecimalField(decimal_places=15, default=Decimal('0'), max_digits=38)),
                ('effective_cost', models.DecimalField(decimal_places=15, default=Decimal('0'), max_digits=38)),
                ('currency', models.CharField(max_length=3)),
                ('price_version_id', models.UUIDField(null=True)),
                ('list_price_version_id', models.UUIDField(null=True)),
                ('commitment_id', models.UUIDField(null=True)),
                ('tax_rule_id', models.UUIDField(null=True)),
                ('rule_version', models.CharField(max_length=16)),
                ('usage_record_ids', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                ('description', models.CharField(blank=True, default='', max_length=500)),
            ],
        ),
        migrations.CreateModel(
            name='Commitment',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('site', models.CharField(blank=True, default='', help_text='Empty: any.', max_length=63)),
                ('held_milli', models.PositiveBigIntegerField(help_text="In 1/1000 of the flavor's unit.")),
                ('unit_price', models.DecimalField(decimal_places=6, max_digits=18)),
                ('currency', models.CharField(max_length=3)),
                ('start_at', models.DateTimeField()),
                ('end_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='LedgerAccount',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('unbilled', 'Unbilled'), ('receivable', 'Receivable'), ('wallet', 'Wallet'), ('revenue', 'Revenue'), ('tax', 'Tax'), ('rounding', 'Rounding'), ('credit', 'Credit'), ('commitment', 'Commitment'), ('settlement', 'Settlement'), ('cash', 'Cash')], max_length=16)),
                ('tenant_id', models.UUIDField(null=True)),
                ('site', models.CharField(blank=True, default='', max_length=63)),
                ('currency', models.CharField(max_length=3)),
            ],
        ),
        migrations.CreateModel(
            name='LedgerEntry',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('amount', models.DecimalField(decimal_places=15, max_digits=38)),
                ('currency', models.CharField(max_length=3)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
        ),
        migrations.CreateModel(
            name='LedgerTransaction',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('seq', models.BigIntegerField(unique=True)),
                ('kind', models.CharField(choices=[('usage', 'Usage'), ('commitment', 'Commitment'), ('invoice', 'Invoice'), ('credit', 'Credit'), ('payment', 'Payment'), ('settlement', 'Settlement'), ('reversal', 'Reversal')], max_length=16)),
                ('tenant_id', models.UUIDField(null=True)),
                ('key', models.CharField(max_length=200, unique=True)),
                ('memo', models.CharField(blank=True, default='', max_length=500)),
                ('by', models.CharField(max_length=150)),
                ('posted_at', models.DateTimeField()),
                ('digest', models.CharField(max_length=64)),
                ('chain', models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='PriceBook',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('slug', models.CharField(max_length=63, unique=True, validators=[django.core.validators.RegexValidator('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$', 'Use lower-case letters, digits and hyphens, at most 63, beginning and ending with a letter or digit.', code='bad-slug')])),
                ('name', models.CharField(max_length=200)),
                ('currency', models.CharField(max_length=3)),
                ('is_default', models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name='Proposal',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('reason', models.CharField(blank=True, default='', max_length=64)),
                ('message', models.TextField(blank=True, default='')),
                ('state_since', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('period_start', models.DateTimeField()),
                ('period_end', models.DateTimeField()),
                ('currency', models.CharField(max_length=3)),
                ('state', models.CharField(choices=[('open', 'open'), ('approved', 'approved'), ('dropped', 'dropped')], default=billing.states.ProposalState['OPEN'], max_length=16)),
                ('charges', models.PositiveIntegerField(default=0, help_text='How many would be reversed.')),
                ('was', models.DecimalField(decimal_places=15, max_digits=38)),
                ('would_be', models.DecimalField(decimal_places=15, max_digits=38)),
                ('lines', models.JSONField(default=list, help_text='What differs, by project, flavor, site and price.')),
                ('digest', models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='TaxRule',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=63)),
                ('rate', models.DecimalField(decimal_places=6, max_digits=9)),
                ('valid_from', models.DateTimeField()),
                ('valid_to', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='UsageGap',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('allocation_id', models.UUIDField()),
                ('workload_id', models.UUIDField()),
                ('tenant_id', models.UUIDField()),
                ('project_id', models.UUIDField()),
                ('site', models.CharField(max_length=63)),
                ('cluster', models.CharField(max_length=63)),
                ('node', models.CharField(max_length=253)),
                ('flavor', models.CharField(max_length=63)),
                ('held_milli', models.PositiveBigIntegerField()),
                ('start_at', models.DateTimeField()),
                ('end_at', models.DateTimeField(help_text='Empty: still silent.', null=True)),
                ('proven_seconds', models.PositiveIntegerField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='usagerecord',
            name='usage_once',
        ),
        migrations.RemoveConstraint(
            model_name='usagerecord',
            name='usage_seconds_fit_interval',
        ),
        migrations.AddField(
            model_name='priceversion',
            name='meter',
            field=models.CharField(choices=[('accelerator', 'accelerator'), ('cpu', 'cpu'), ('memory', 'memory'), ('energy', 'energy'), ('reservation', 'reservation')], default=billing.rating.kinds.Meter['ACCELERATOR'], max_length=16),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='minimum_seconds',
            field=models.PositiveIntegerField(default=0, help_text='A run is billed for at least this long.'),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='service_class',
            field=models.CharField(blank=True, choices=[('guaranteed', 'guaranteed'), ('over-quota', 'over-quota'), ('best-effort', 'best-effort')], default='', max_length=16),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='site',
            field=models.CharField(blank=True, default='', max_length=63),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='slicing_mode',
            field=models.CharField(blank=True, default='', max_length=16),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='step_seconds',
            field=models.PositiveIntegerField(default=1, help_text='A run is billed in whole steps of this.'),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='tenant_class',
            field=models.CharField(blank=True, choices=[('internal', 'Internal'), ('partner', 'Partner'), ('external', 'External')], default='', max_length=16),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='tier_mode',
            field=models.CharField(blank=True, choices=[('graduated', 'graduated'), ('volume', 'volume')], default='', max_length=16),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='tier_scope',
            field=models.CharField(choices=[('tenant', 'tenant'), ('project', 'project'), ('user', 'user')], default=billing.rating.kinds.TierScope['TENANT'], max_length=16),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='tier_prices',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.DecimalField(decimal_places=6, max_digits=18), blank=True, default=list, size=None),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='tier_starts',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.DecimalField(decimal_places=9, max_digits=24), blank=True, default=list, help_text='From how many units on the tiers above the first begin, in order.', size=None),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='charged_in',
            field=models.UUIDField(help_text='The transaction of the ledger.', null=True),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='cpu_milli',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='device_memory_mib',
            field=models.PositiveBigIntegerField(default=0, help_text='Of the cards, as far as it is held.'),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='event_ids',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='memory_mib',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='model',
            field=models.CharField(blank=True, default='', max_length=64),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='pool',
            field=models.CharField(blank=True, default='', max_length=63),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='power_watts',
            field=models.PositiveIntegerField(default=0, help_text='Nominal, of a whole unit.'),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='proof_at',
            field=models.DateTimeField(help_text='The last proof that it rests on.', null=True),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='reverses',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reversals', to='billing.usagerecord'),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='revision',
            field=models.PositiveSmallIntegerField(default=0, help_text='Rises when a charged record is replaced.'),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='service_class',
            field=models.CharField(choices=[('guaranteed', 'guaranteed'), ('over-quota', 'over-quota'), ('best-effort', 'best-effort')], default=billing.rating.kinds.ServiceClass['GUARANTEED'], max_length=16),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='slicing_mode',
            field=models.CharField(blank=True, default='', max_length=16),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='user',
            field=models.CharField(blank=True, default='', help_text='Who submitted the work.', max_length=150),
        ),
        migrations.AddField(
            model_name='usagerecord',
            name='workload_kind',
            field=models.CharField(blank=True, default='', max_length=16),
        ),
        migrations.AlterField(
            model_name='priceversion',
            name='flavor',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='portal.resourceflavor'),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='seconds',
            field=models.SmallIntegerField(),
        ),
        migrations.AddIndex(
            model_name='usagerecord',
            index=models.Index(condition=models.Q(('charged_in', None)), fields=['tenant_id', 'start_at'], name='usage_uncharged'),
        ),
        migrations.AddIndex(
            model_name='usagerecord',
            index=models.Index(condition=models.Q(('charged_in__isnull', False)), fields=['charged_in'], name='usage_charged'),
        ),
        migrations.AddIndex(
            model_name='usagerecord',
            index=models.Index(condition=models.Q(('reverses__isnull', False)), fields=['reverses'], name='usage_reversed'),
        ),
        migrations.AddConstraint(
            model_name='usagerecord',
            constraint=models.UniqueConstraint(fields=('allocation_id', 'start_at', 'revision', 'reverses'), name='usage_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='usagerecord',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reverses__isnull', True), ('seconds__gt', 0)), models.Q(('reverses__isnull', False), ('seconds__lt', 0)), _connector='OR'), name='usage_counts_below_zero_in_reversals'),
        ),
        migrations.AddConstraint(
            model_name='usagerecord',
            constraint=models.CheckConstraint(condition=models.Q(('end_at', django.db.models.expressions.CombinedExpression(models.F('start_at'), '+', django.db.models.expressions.CombinedExpression(django.db.models.functions.math.Abs(models.F('seconds')), '*', models.Value(datetime.timedelta(seconds=1))))), ('seconds__gte', -3600), ('seconds__lte', 3600)), name='usage_seconds_fit_interval'),
        ),
        migrations.AddField(
            model_name='billingterm',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='billing_terms', to='portal.tenant'),
        ),
        migrations.AddIndex(
            model_name='capacityhour',
            index=models.Index(fields=['hour'], name='capacity_hour'),
        ),
        migrations.AddConstraint(
            model_name='capacityhour',
            constraint=models.UniqueConstraint(fields=('site', 'flavor_id', 'hour'), name='capacity_once'),
        ),
        migrations.AddConstraint(
            model_name='capacityhour',
            constraint=models.CheckConstraint(condition=models.Q(('capacity', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('work'), '+', models.F('reserved')), '+', models.F('idle'))), ('idle__gte', 0), ('reserved__gte', 0), ('work__gte', 0)), name='capacity_adds_up'),
        ),
        migrations.AddField(
            model_name='charge',
            name='reverses',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reversals', to='billing.charge'),
        ),
        migrations.AddField(
            model_name='commitment',
            name='flavor',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='commitments', to='portal.resourceflavor'),
        ),
        migrations.AddField(
            model_name='commitment',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='commitments', to='portal.tenant'),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.UniqueConstraint(fields=('kind', 'tenant_id', 'site', 'currency'), name='account_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='ledgeraccount',
            constraint=models.CheckConstraint(condition=models.Q(('currency__regex', '^[A-Z]{3}$')), name='account_currency_is_iso'),
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.ledgeraccount'),
        ),
        migrations.AddField(
            model_name='ledgertransaction',
            name='reverses',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reversals', to='billing.ledgertransaction'),
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='transaction',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.ledgertransaction'),
        ),
        migrations.AddField(
            model_name='charge',
            name='transaction',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='charges', to='billing.ledgertransaction'),
        ),
        migrations.AddConstraint(
            model_name='pricebook',
            constraint=models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('currency',), name='book_one_default'),
        ),
        migrations.AddConstraint(
            model_name='pricebook',
            constraint=models.CheckConstraint(condition=models.Q(('currency__regex', '^[A-Z]{3}$')), name='book_currency_is_iso'),
        ),
        migrations.AddField(
            model_name='billingterm',
            name='book',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='terms', to='billing.pricebook'),
        ),
        migrations.AddField(
            model_name='priceversion',
            name='book',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='billing.pricebook'),
        ),
        migrations.RunSQL(BOOKS, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name='priceversion',
            name='book',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='prices', to='billing.pricebook'),
        ),
        migrations.AddConstraint(
            model_name='priceversion',
            constraint=models.CheckConstraint(condition=models.Q(('tier_starts', []), models.Q(('tier_mode', ''), _negated=True), _connector='OR'), name='price_tiers_have_a_mode'),
        ),
        migrations.AddConstraint(
            model_name='priceversion',
            constraint=models.CheckConstraint(condition=models.Q(('tier_starts__len', models.F('tier_prices__len'))), name='price_tiers_have_prices'),
        ),
        migrations.AddConstraint(
            model_name='priceversion',
            constraint=models.CheckConstraint(condition=models.Q(('step_seconds__gte', 1)), name='price_step_at_least_a_second'),
        ),
        migrations.AddConstraint(
            model_name='priceversion',
            constraint=models.CheckConstraint(condition=models.Q(('flavor__isnull', False), models.Q(('meter__in', ['accelerator', 'reservation']), _negated=True), _connector='OR'), name='price_of_cards_names_a_flavor'),
        ),
        migrations.AddField(
            model_name='proposal',
            name='book',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='proposals', to='billing.pricebook'),
        ),
        migrations.AddField(
            model_name='proposal',
            name='posted_as',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgertransaction'),
        ),
        migrations.AddField(
            model_name='proposal',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='proposals', to='portal.tenant'),
        ),
        migrations.AddField(
            model_name='taxrule',
            name='book',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='taxes', to='billing.pricebook'),
        ),
        migrations.AddIndex(
            model_name='usagegap',
            index=models.Index(fields=['tenant_id', '-id'], name='gap_tenant_newest'),
        ),
        migrations.AddConstraint(
            model_name='usagegap',
            constraint=models.UniqueConstraint(fields=('allocation_id', 'start_at'), name='gap_once'),
        ),
        migrations.AddConstraint(
            model_name='usagegap',
            constraint=models.UniqueConstraint(condition=models.Q(('end_at', None)), fields=('allocation_id',), name='gap_one_open'),
        ),
        migrations.AddConstraint(
            model_name='usagegap',
            constraint=models.CheckConstraint(condition=models.Q(('end_at', None), ('end_at__gte', models.F('start_at')), _connector='OR'), name='gap_has_length'),
        ),
        migrations.AddIndex(
            model_name='commitment',
            index=models.Index(fields=['tenant', 'start_at'], name='commitment_tenant'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.CheckConstraint(condition=models.Q(('end_at__gt', models.F('start_at'))), name='commitment_has_length'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.CheckConstraint(condition=models.Q(('held_milli__gte', 1)), name='commitment_holds_something'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.CheckConstraint(condition=models.Q(('unit_price__gte', 0)), name='commitment_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.CheckConstraint(condition=models.Q(django.db.models.lookups.Exact(models.F('start_at'), models.Func(models.Value('second'), models.F('start_at'), function='date_trunc', output_field=models.DateTimeField())), django.db.models.lookups.Exact(models.F('end_at'), models.Func(models.Value('second'), models.F('end_at'), function='date_trunc', output_field=models.DateTimeField()))), name='commitment_edges_are_whole_seconds'),
        ),
        migrations.AddIndex(
            model_name='ledgertransaction',
            index=models.Index(fields=['tenant_id', '-seq'], name='transaction_tenant'),
        ),
        migrations.AddIndex(
            model_name='ledgertransaction',
            index=models.Index(condition=models.Q(('reverses__isnull', False)), fields=['reverses'], name='transaction_reversed'),
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(fields=['account', 'id'], name='entry_account'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(fields=('transaction', 'account'), name='entry_once_per_account'),
        ),
        migrations.AddIndex(
            model_name='charge',
            index=models.Index(fields=['tenant_id', 'billing_period_start'], name='charge_tenant_period'),
        ),
        migrations.AddIndex(
            model_name='charge',
            index=models.Index(fields=['tenant_id', '-id'], name='charge_tenant_newest'),
        ),
        migrations.AddIndex(
            model_name='charge',
            index=models.Index(fields=['allocation_id'], name='charge_allocation'),
        ),
        migrations.AddIndex(
            model_name='charge',
            index=models.Index(condition=models.Q(('reverses__isnull', False)), fields=['reverses'], name='charge_reversed'),
        ),
        migrations.AddIndex(
            model_name='charge',
            index=django.contrib.postgres.indexes.GinIndex(fields=['usage_record_ids'], name='charge_of_usage'),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.UniqueConstraint(fields=('transaction', 'position'), name='charge_position_once'),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('list_cost', 0), ('list_unit_price__isnull', True)), ('list_cost', django.db.models.expressions.CombinedExpression(models.F('quantity'), '*', models.F('list_unit_price'))), models.Q(('category', 'usage'), _negated=True), _connector='OR'), name='charge_list_cost_is_product'),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.CheckConstraint(condition=models.Q(('contracted_unit_price__isnull', True), ('contracted_cost', django.db.models.expressions.CombinedExpression(models.F('quantity'), '*', models.F('contracted_unit_price'))), _connector='OR'), name='charge_contracted_cost_is_product'),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.CheckConstraint(condition=models.Q(('currency__regex', '^[A-Z]{3}$')), name='charge_currency_is_iso'),
        ),
        migrations.AddConstraint(
            model_name='charge',
            constraint=models.CheckConstraint(condition=models.Q(('period_end__gte', models.F('period_start')), ('period_end__lte', models.F('billing_period_end')), ('period_start__gte', models.F('billing_period_start'))), name='charge_lies_in_its_billing_period'),
        ),
        migrations.AddConstraint(
            model_name='billingterm',
            constraint=models.UniqueConstraint(fields=('tenant', 'valid_from'), name='term_begins_once'),
        ),
        migrations.AddIndex(
            model_name='proposal',
            index=models.Index(fields=['tenant', '-id'], name='proposal_tenant_newest'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(('period_end__gt', models.F('period_start'))), name='proposal_period_has_length'),
        ),
        migrations.AddConstraint(
            model_name='taxrule',
            constraint=models.CheckConstraint(condition=models.Q(('rate__gte', 0), ('rate__lt', Decimal('10'))), name='tax_rate_is_a_share'),
        ),
        migrations.AddConstraint(
            model_name='taxrule',
            constraint=models.CheckConstraint(condition=models.Q(('valid_to__isnull', True), ('valid_to__gt', models.F('valid_from')), _connector='OR'), name='tax_ends_after_it_begins'),
        ),
    ]
