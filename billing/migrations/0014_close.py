"""Months that are closed, and what their closing settled. A closed month and its settlement stay as they are."""

import billing.states
import django.db.models.deletion
import django.db.models.functions.datetime
import portal.models.base
from django.db import migrations, models


KEPT = """
CREATE FUNCTION billing_month_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life constant text[] := ARRAY['state', 'reason', 'message', 'state_since', 'version', 'archive_sha256',
    'archive_bytes', 'closed_at'];
BEGIN
  IF OLD.state = 'closed' OR (OLD.state = 'settled' AND
      (TG_OP = 'DELETE' OR to_jsonb(NEW) - life IS DISTINCT FROM to_jsonb(OLD) - life)) THEN
    RAISE EXCEPTION 'a month that is settled or closed does not change: what comes late belongs to the next'
      USING ERRCODE = 'restrict_violation', CONSTRAINT = 'month_is_fixed';
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER month_fixed BEFORE UPDATE OR DELETE ON billing_month
  FOR EACH ROW EXECUTE FUNCTION billing_month_fixed();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_month
  FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only();

CREATE FUNCTION billing_settlement_joins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added JOIN billing_month m ON m.id = added.month_id WHERE m.state <> 'issuing') THEN
    RAISE EXCEPTION 'a month is settled once, while it is closed'
      USING ERRCODE = 'restrict_violation', CONSTRAINT = 'month_is_fixed';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER settlement_joins AFTER INSERT ON billing_settlementline
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_settlement_joins();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_settlementline
  FOR EACH ROW EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_settlementline
  FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only();
"""
NOT_KEPT = """
DROP TRIGGER never_emptied ON billing_settlementline;
DROP TRIGGER append_only ON billing_settlementline;
DROP TRIGGER settlement_joins ON billing_settlementline;
DROP FUNCTION billing_settlement_joins();
DROP TRIGGER never_emptied ON billing_month;
DROP TRIGGER month_fixed ON billing_month;
DROP FUNCTION billing_month_fixed();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0013_exports'),
    ]

    operations = [
        migrations.CreateModel(
            name='Month',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('reason', models.CharField(blank=True, default='', max_length=64)),
                ('message', models.TextField(blank=True, default='')),
                ('state_since', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('label', models.CharField(max_length=7, unique=True)),
                ('period_start', models.DateTimeField(unique=True)),
                ('period_end', models.DateTimeField()),
                ('state', models.CharField(choices=[('open', 'open'), ('charging', 'charging'), ('issuing', 'issuing'), ('settled', 'settled'), ('closed', 'closed')], default=billing.states.MonthState['OPEN'], max_length=16)),
                ('done_until', models.UUIDField(help_text='The last tenant that this step of the closing has done.', null=True)),
                ('accepted', models.JSONField(default=list, help_text='What was in the way, and closed over by whoever asked.')),
                ('asked_by', models.CharField(blank=True, default='', max_length=150)),
                ('ledger_seq', models.BigIntegerField(null=True)),
                ('previous_seq', models.BigIntegerField(null=True)),
                ('closed_at', models.DateTimeField(null=True)),
                ('archive_sha256', models.CharField(blank=True, default='', max_length=64)),
                ('archive_bytes', models.BigIntegerField(default=0)),
                ('posted_in', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='month', to='billing.ledgertransaction')),
            ],
        ),
        migrations.CreateModel(
            name='SettlementLine',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('side', models.CharField(choices=[('site', 'Site'), ('department', 'Department')], max_length=16)),
                ('tenant_id', models.UUIDField()),
                ('tenant', models.CharField(max_length=200)),
                ('debtor', models.CharField(blank=True, default='', max_length=63)),
                ('creditor', models.CharField(blank=True, default='', max_length=63)),
                ('period', models.CharField(max_length=7)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=15, max_digits=38)),
                ('month', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='settlement', to='billing.month')),
            ],
        ),
        migrations.AddConstraint(
            model_name='month',
            constraint=models.CheckConstraint(condition=models.Q(('period_end__gt', models.F('period_start'))), name='month_has_length'),
        ),
        migrations.AddConstraint(
            model_name='month',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'closed'), _negated=True), models.Q(models.Q(('archive_sha256', ''), _negated=True), ('closed_at__isnull', False), ('ledger_seq__isnull', False)), _connector='OR'), name='month_closed_with_its_archive'),
        ),
        migrations.AddIndex(
            model_name='settlementline',
            index=models.Index(fields=['tenant_id', '-id'], name='settlement_tenant_newest'),
        ),
        migrations.AddConstraint(
            model_name='settlementline',
            constraint=models.UniqueConstraint(fields=('month', 'side', 'tenant_id', 'debtor', 'creditor', 'period', 'currency'), name='settlement_once'),
        ),
        migrations.AddConstraint(
            model_name='settlementline',
            constraint=models.CheckConstraint(condition=models.Q(('debtor', models.F('creditor')), _negated=True), name='settlement_of_two'),
        ),
        migrations.AddIndex(
            model_name='charge',
            index=models.Index(condition=models.Q(('category', 'usage'), ('price_version_id', None)), fields=['billing_period_start'], name='charge_unrated'),
        ),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
