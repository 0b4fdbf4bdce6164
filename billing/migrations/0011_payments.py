"""Invoices are paid, and what was cancelled is called void. Profiles of whom they are made out to.

The walls follow: an invoice is paid when its payments, and what a wallet paid, add up to it, void when none are left, and payments stay.
"""

from importlib import import_module

import billing.states
import django.db.models.deletion
import django.db.models.functions.datetime
import portal.models.base
from django.db import migrations, models


FIXED = """
CREATE OR REPLACE FUNCTION billing_invoice_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life constant text[] := ARRAY['state', 'reason', 'message', 'state_since', 'version'];
  owed numeric;
  paid numeric;
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.state = 'draft' THEN RETURN OLD; END IF;
  ELSIF OLD.state = 'draft' THEN
    IF NEW.state = 'draft' THEN RETURN NEW; END IF;
    SELECT coalesce(sum(cost), 0) INTO owed FROM billing_invoiceline WHERE invoice_id = NEW.id;
    IF NEW.state <> 'issued' OR NEW.total <> owed OR NEW.total <> round(NEW.total, 2) OR EXISTS (
      SELECT 1 FROM billing_invoiceline WHERE invoice_id = NEW.id AND currency <> NEW.currency
    ) THEN
      RAISE EXCEPTION 'the total % of an issued invoice is the sum % of its lines, in whole cents of one currency',
        NEW.total, owed USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_adds_up';
    END IF;
    RETURN NEW;
  ELSIF to_jsonb(NEW) - life = to_jsonb(OLD) - life
      AND (OLD.state, NEW.state) IN (('issued', 'paid'), ('issued', 'void'), ('paid', 'issued'), ('paid', 'void')) THEN
    SELECT coalesce(sum(amount), 0) INTO paid FROM (
      SELECT amount FROM billing_payment WHERE invoice_id = NEW.id
      UNION ALL SELECT amount FROM billing_credituse WHERE invoice_id = NEW.id  -- what a wallet paid, less what it got back
    ) came;
    IF (CASE NEW.state WHEN 'paid' THEN paid <> NEW.total WHEN 'void' THEN paid <> 0 ELSE paid = NEW.total END) THEN
      RAISE EXCEPTION 'an invoice of % with payments of % cannot be %', NEW.total, paid, NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_is_as_paid';
    END IF;
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'an issued invoice does not change: correct it with a credit note'
    USING ERRCODE = 'restrict_violation', CONSTRAINT = 'invoice_is_fixed';
END $$;
"""

_FIRST = import_module("billing.migrations.0002_walls").FORWARD
_AT = _FIRST.index("FUNCTION billing_invoice_fixed()")
AS_BEFORE = "CREATE OR REPLACE " + _FIRST[_AT : _FIRST.index("END $$;", _AT)] + "END $$;"

RENAME = """
ALTER TABLE billing_invoice DISABLE TRIGGER invoice_fixed;
UPDATE billing_invoice SET state = '{new}' WHERE state = '{old}';
ALTER TABLE billing_invoice ENABLE TRIGGER invoice_fixed;
"""

KEPT = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_payment
  FOR EACH ROW EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_payment
  FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only();
CREATE FUNCTION billing_payment_belongs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM billing_invoice WHERE id = NEW.invoice_id AND currency = NEW.currency AND tenant_id = NEW.tenant_id
    AND refers_to_id IS NULL AND (state = 'issued' OR (state = 'paid' AND NEW.reverses_id IS NOT NULL)) FOR SHARE;
  IF NOT FOUND OR (NEW.reverses_id IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM billing_payment WHERE id = NEW.reverses_id AND invoice_id = NEW.invoice_id AND amount = -NEW.amount
      AND reverses_id IS NULL
  )) THEN
    RAISE EXCEPTION 'a payment is for an issued invoice, in its currency, and a reversal is the opposite of its payment'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_belongs';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER payment_belongs BEFORE INSERT ON billing_payment
  FOR EACH ROW EXECUTE FUNCTION billing_payment_belongs();
"""
NOT_KEPT = """
DROP TRIGGER payment_belongs ON billing_payment;
DROP FUNCTION billing_payment_belongs();
DROP TRIGGER never_emptied ON billing_payment;
DROP TRIGGER append_only ON billing_payment;
"""

class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0010_wallet_walls'),
        ('portal', '0003_cpu_flavor'),
    ]

    operations = [
        migrations.AddField(
            model_name='invoice',
            name='bill_to',
            field=models.JSONField(default=dict, help_text="The tenant's billing profile, as it was when it was issued."),
        ),
        migrations.AddField(
            model_name='invoice',
            name='due_on',
            field=models.DateField(null=True),
        ),
        migrations.AddField(
            model_name='invoice',
            name='issuer',
            field=models.JSONField(default=dict, help_text='Who asks for it, as it was when it was issued.'),
        ),
        migrations.AlterField(
            model_name='invoice',
            name='state',
            field=models.CharField(choices=[('draft', 'draft'), ('issued', 'issued'), ('paid', 'paid'), ('void', 'void')], default=billing.states.InvoiceState['DRAFT'], max_length=16),
        ),
        migrations.CreateModel(
            name='BillingProfile',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('legal_name', models.CharField(max_length=200)),
                ('tax_id', models.CharField(blank=True, default='', help_text='统一社会信用代码.', max_length=18)),
                ('address', models.CharField(blank=True, default='', max_length=300)),
                ('phone', models.CharField(blank=True, default='', max_length=50)),
                ('bank', models.CharField(blank=True, default='', max_length=200)),
                ('bank_account', models.CharField(blank=True, default='', max_length=50)),
                ('email', models.EmailField(blank=True, default='', max_length=254)),
                ('payment_terms_days', models.PositiveSmallIntegerField(default=30)),
                ('home_site', models.CharField(blank=True, default='', help_text="The member whose tenant it is, by its site. Empty: the hub's.", max_length=63)),
                ('tenant', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='billing_profile', to='portal.tenant')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('payment_terms_days__lte', 365)), name='profile_terms_within_a_year')],
            },
        ),
        migrations.CreateModel(
            name='Payment',
            fields=[
                ('id', models.UUIDField(default=portal.models.base.uuid7, editable=False, primary_key=True, serialize=False)),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('tenant_id', models.UUIDField()),
                ('amount', models.DecimalField(decimal_places=2, max_digits=20)),
                ('currency', models.CharField(max_length=3)),
                ('received_on', models.DateField()),
                ('reference', models.CharField(help_text='As the bank has it.', max_length=200)),
                ('by', models.CharField(max_length=150)),
                ('invoice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='billing.invoice')),
                ('posted_in', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='payment', to='billing.ledgertransaction')),
                ('reverses', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reversal', to='billing.payment')),
            ],
            options={
                'indexes': [models.Index(fields=['tenant_id', '-id'], name='payment_tenant_newest')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount', 0), _negated=True), name='payment_is_of_something')],
            },
        ),
        migrations.RunSQL(FIXED, AS_BEFORE),
        migrations.RunSQL(RENAME.format(old="cancelled", new="void"), RENAME.format(old="void", new="cancelled")),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
