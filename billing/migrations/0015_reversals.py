"""A charge is taken back once. What was restored is taken back by reversing what restored it, and not restored again.

So what is live is what nothing reverses and what stands at an even place of its chain, of which there are four at most.
"""

from django.db import migrations, models

_OPPOSITE = """\
  IF (NEW.milli_seconds, NEW.quantity, NEW.list_cost, NEW.contracted_cost, NEW.billed_cost, NEW.effective_cost)
      IS DISTINCT FROM
     (-was.milli_seconds, -was.quantity, -was.list_cost, -was.contracted_cost, -was.billed_cost, -was.effective_cost)
     OR (NEW.tenant_id, NEW.project_id, NEW.site, NEW.currency, NEW.category, NEW.price_version_id,
         NEW.list_unit_price, NEW.contracted_unit_price, NEW.billing_period_start)
      IS DISTINCT FROM
        (was.tenant_id, was.project_id, was.site, was.currency, was.category, was.price_version_id,
         was.list_unit_price, was.contracted_unit_price, was.billing_period_start) THEN
    RAISE EXCEPTION 'a reversal is the opposite of what it reverses'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_reversal_is_opposite';
  END IF;
  RETURN NEW;
END $$;
"""

SINGLE = (
    """
CREATE OR REPLACE FUNCTION billing_charge_reverses() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  was billing_charge;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('billing ledger', 0));
  SELECT * INTO was FROM billing_charge WHERE id = NEW.reverses_id;
  IF EXISTS (SELECT FROM billing_charge WHERE reverses_id = NEW.reverses_id) THEN
    RAISE EXCEPTION 'that charge is reversed already'
      USING ERRCODE = 'unique_violation', CONSTRAINT = 'charge_reversed_once';
  END IF;
  IF EXISTS (
    SELECT FROM billing_charge restored JOIN billing_charge undone ON undone.id = restored.reverses_id
    WHERE restored.id = was.reverses_id AND undone.reverses_id IS NOT NULL
  ) THEN
    RAISE EXCEPTION 'what was restored and taken back again is charged anew, not restored'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_restored_once';
  END IF;
"""
    + _OPPOSITE
    + "DROP FUNCTION billing_charge_is_live(uuid);"
)

SEVERAL = (
    """
CREATE FUNCTION billing_charge_is_live(asked uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN NOT EXISTS (SELECT 1 FROM billing_charge r WHERE r.reverses_id = asked AND billing_charge_is_live(r.id));
END $$;
CREATE OR REPLACE FUNCTION billing_charge_reverses() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  was billing_charge;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('billing ledger', 0));
  SELECT * INTO was FROM billing_charge WHERE id = NEW.reverses_id;
  IF NOT billing_charge_is_live(NEW.reverses_id) THEN
    RAISE EXCEPTION 'that charge is reversed already'
      USING ERRCODE = 'unique_violation', CONSTRAINT = 'ledger_one_live_reversal';
  END IF;
"""
    + _OPPOSITE
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0014_close")]
    operations = [
        migrations.RemoveIndex(model_name="charge", name="charge_reversed"),
        migrations.AddConstraint(
            model_name="charge",
            constraint=models.UniqueConstraint(
                fields=["reverses"], condition=models.Q(reverses__isnull=False), name="charge_reversed_once"
            ),
        ),
        migrations.RunSQL(SINGLE, SEVERAL),
    ]
