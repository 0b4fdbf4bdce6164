"""Money has walls in the database, whatever the code above it does.

- Of prices for the same flavor, tenant and currency one holds at a time. The trigger takes a lock named by
  the three before it looks, so of two writers at once the second sees the first (at READ COMMITTED, which is
  what we run at). An exclusion constraint would need btree_gist, which not every Postgres has.
- A price never changes; it only ends.
- An issued invoice never changes but to `cancelled`, its lines never at all; what is issued adds up.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION billing_price_apart() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.valid_to <= NEW.valid_from THEN
    RETURN NEW;  -- no range; the check constraint says so
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended(
    'price ' || NEW.flavor_id || ' ' || coalesce(NEW.tenant_id::text, 'list') || ' ' || NEW.currency, 0));
  IF EXISTS (
    SELECT 1 FROM billing_price WHERE id <> NEW.id AND flavor_id = NEW.flavor_id
      AND tenant_id IS NOT DISTINCT FROM NEW.tenant_id AND currency = NEW.currency
      AND tstzrange(valid_from, valid_to) && tstzrange(NEW.valid_from, NEW.valid_to)
  ) THEN
    RAISE EXCEPTION 'two prices would hold at once' USING ERRCODE = 'exclusion_violation',
      CONSTRAINT = 'price_windows_apart';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION billing_price_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a price does not change: it ends, and another begins'
    USING ERRCODE = 'restrict_violation', CONSTRAINT = 'price_is_fixed';
END $$;

CREATE FUNCTION billing_invoice_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life constant text[] := ARRAY['state', 'reason', 'message', 'state_since', 'version'];
  owed numeric;
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
  ELSIF OLD.state = 'issued' AND NEW.state = 'cancelled' AND to_jsonb(NEW) - life = to_jsonb(OLD) - life THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'an issued invoice does not change: correct it with a credit note'
    USING ERRCODE = 'restrict_violation', CONSTRAINT = 'invoice_is_fixed';
END $$;

-- Lines come and go while their invoice is a draft. FOR SHARE waits for an issue under way, and then sees it.
CREATE FUNCTION billing_line_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM 1 FROM billing_invoice WHERE id = OLD.invoice_id AND state = 'draft' FOR SHARE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'lines of an issued invoice do not change'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'invoice_is_fixed';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  END IF;
  PERFORM 1 FROM billing_invoice WHERE id = NEW.invoice_id AND state = 'draft' FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'lines of an issued invoice do not change'
      USING ERRCODE = 'restrict_violation', CONSTRAINT = 'invoice_is_fixed';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER price_windows_apart BEFORE INSERT OR UPDATE ON billing_price
  FOR EACH ROW EXECUTE FUNCTION billing_price_apart();
CREATE TRIGGER price_fixed BEFORE UPDATE ON billing_price FOR EACH ROW
  WHEN ((OLD.id, OLD.flavor_id, OLD.tenant_id, OLD.currency, OLD.unit_price, OLD.valid_from) IS DISTINCT FROM
        (NEW.id, NEW.flavor_id, NEW.tenant_id, NEW.currency, NEW.unit_price, NEW.valid_from))
  EXECUTE FUNCTION billing_price_fixed();
CREATE TRIGGER price_kept BEFORE DELETE ON billing_price
  FOR EACH ROW EXECUTE FUNCTION billing_price_fixed();
CREATE TRIGGER invoice_fixed BEFORE UPDATE OR DELETE ON billing_invoice
  FOR EACH ROW EXECUTE FUNCTION billing_invoice_fixed();
CREATE TRIGGER line_fixed BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceline
  FOR EACH ROW EXECUTE FUNCTION billing_line_fixed();
"""
BACKWARD = """
DROP TRIGGER line_fixed ON billing_invoiceline;
DROP TRIGGER invoice_fixed ON billing_invoice;
DROP TRIGGER price_kept ON billing_price;
DROP TRIGGER price_fixed ON billing_price;
DROP TRIGGER price_windows_apart ON billing_price;
DROP FUNCTION billing_line_fixed();
DROP FUNCTION billing_invoice_fixed();
DROP FUNCTION billing_price_fixed();
DROP FUNCTION billing_price_apart();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
