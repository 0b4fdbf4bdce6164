"""The ledger is held by the database, whatever the code above it does.

- Transactions, entries, charges and accounts are only ever added: no UPDATE, DELETE or TRUNCATE, not even by the owner
  of the tables.
- At commit each new transaction has entries, and they sum to zero in each currency; a reversal is the opposite of what
  it reverses, in each account.
- Of a transaction, and of a charge, one reversal at most is live: one that has not itself been reversed.
- `seq` has no gaps, and follows the last (the poster holds the ledger's lock, which the trigger takes as well).
- A usage record does not change once it is charged. Prices, terms and taxes do not change; prices and taxes end.
"""

from django.db import migrations

PRICES = """
CREATE OR REPLACE FUNCTION billing_price_apart() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.valid_to <= NEW.valid_from THEN
    RETURN NEW;  -- no range; the check constraint says so
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'price', NEW.book_id, NEW.meter,
    coalesce(NEW.flavor_id::text, 'any'), coalesce(NEW.tenant_id::text, 'list'), NEW.currency), 0));
  IF EXISTS (
    SELECT 1 FROM billing_priceversion WHERE id <> NEW.id AND book_id = NEW.book_id
      AND flavor_id IS NOT DISTINCT FROM NEW.flavor_id
      AND tenant_id IS NOT DISTINCT FROM NEW.tenant_id AND currency = NEW.currency
      AND (meter, tenant_class, site, slicing_mode, service_class)
        = (NEW.meter, NEW.tenant_class, NEW.site, NEW.slicing_mode, NEW.service_class)
      AND tstzrange(valid_from, valid_to) && tstzrange(NEW.valid_from, NEW.valid_to)
  ) THEN
    RAISE EXCEPTION 'two prices would hold at once' USING ERRCODE = 'exclusion_violation',
      CONSTRAINT = 'price_windows_apart';
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER price_fixed ON billing_priceversion;
CREATE TRIGGER price_fixed BEFORE UPDATE ON billing_priceversion FOR EACH ROW
  WHEN (to_jsonb(OLD) - ARRAY['valid_to', 'version', 'changed_at']
        IS DISTINCT FROM to_jsonb(NEW) - ARRAY['valid_to', 'version', 'changed_at'])
  EXECUTE FUNCTION billing_price_fixed();
CREATE TRIGGER tax_fixed BEFORE UPDATE ON billing_taxrule FOR EACH ROW
  WHEN (to_jsonb(OLD) - ARRAY['valid_to', 'version'] IS DISTINCT FROM to_jsonb(NEW) - ARRAY['valid_to', 'version'])
  EXECUTE FUNCTION billing_price_fixed();
CREATE TRIGGER tax_kept BEFORE DELETE ON billing_taxrule FOR EACH ROW EXECUTE FUNCTION billing_price_fixed();
"""

LEDGER = """
CREATE FUNCTION billing_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: correct it by a reversal', TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_is_append_only';
END $$;

-- Live: not reversed, or only by what is reversed itself.
CREATE FUNCTION billing_transaction_is_live(asked uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN NOT EXISTS (
    SELECT 1 FROM billing_ledgertransaction r WHERE r.reverses_id = asked AND billing_transaction_is_live(r.id));
END $$;
CREATE FUNCTION billing_charge_is_live(asked uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN NOT EXISTS (SELECT 1 FROM billing_charge r WHERE r.reverses_id = asked AND billing_charge_is_live(r.id));
END $$;

CREATE FUNCTION billing_transaction_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('billing ledger', 0));
  SELECT coalesce(max(seq), 0) INTO last FROM billing_ledgertransaction;
  IF NEW.seq <> last + 1 THEN
    RAISE EXCEPTION 'transaction % does not follow %', NEW.seq, last
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_in_order';
  END IF;
  IF NEW.reverses_id IS NOT NULL AND NOT billing_transaction_is_live(NEW.reverses_id) THEN
    RAISE EXCEPTION 'that transaction is reversed already'
      USING ERRCODE = 'unique_violation', CONSTRAINT = 'ledger_one_live_reversal';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION billing_charge_reverses() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  was billing_charge;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('billing ledger', 0));
  SELECT * INTO was FROM billing_charge WHERE id = NEW.reverses_id;
  IF NOT billing_charge_is_live(NEW.reverses_id) THEN
    RAISE EXCEPTION 'that charge is reversed already'
      USING ERRCODE = 'unique_violation', CONSTRAINT = 'ledger_one_live_reversal';
  END IF;
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

-- At commit. One look at a transaction, however many entries it has: only the one that opens it asks.
CREATE FUNCTION billing_transaction_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  odd record;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM billing_ledgerentry WHERE transaction_id = NEW.id) THEN
    RAISE EXCEPTION 'transaction % has no entries', NEW.seq
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_sums_to_zero';
  END IF;
  SELECT currency, sum(amount) AS amount INTO odd FROM billing_ledgerentry
    WHERE transaction_id = NEW.id GROUP BY currency HAVING sum(amount) <> 0 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'transaction % is % % off', NEW.seq, odd.amount, odd.currency
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_sums_to_zero';
  END IF;
  IF NEW.reverses_id IS NOT NULL AND EXISTS (
    SELECT 1 FROM billing_ledgerentry WHERE transaction_id IN (NEW.id, NEW.reverses_id)
    GROUP BY account_id HAVING sum(amount) <> 0
  ) THEN
    RAISE EXCEPTION 'a reversal is the opposite of what it reverses'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_reversal_is_opposite';
  END IF;
  RETURN NULL;
END $$;

-- An entry belongs to a transaction that this very database transaction has opened: the row is there to be seen, and
-- whoever wrote it is still in progress. (A row knows the lower half of that number only.)
CREATE FUNCTION billing_entry_joins() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  opener bigint;
  ours constant bigint := pg_current_xact_id()::text::bigint;
BEGIN
  SELECT xmin::text::bigint INTO opener FROM billing_ledgertransaction WHERE id = NEW.transaction_id;
  opener := ours + (opener - (ours & 4294967295) + 6442450944) % 4294967296 - 2147483648;
  IF opener IS NULL OR pg_xact_status(opener::text::xid8) <> 'in progress' THEN
    RAISE EXCEPTION 'that transaction is closed' USING ERRCODE = 'restrict_violation',
      CONSTRAINT = 'ledger_is_append_only';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION billing_entry_in_currency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM billing_ledgeraccount WHERE id = NEW.account_id AND currency = NEW.currency;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'an entry is in the currency of its account'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_in_currency';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER transaction_follows BEFORE INSERT ON billing_ledgertransaction
  FOR EACH ROW EXECUTE FUNCTION billing_transaction_follows();
CREATE CONSTRAINT TRIGGER transaction_balances AFTER INSERT ON billing_ledgertransaction
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_transaction_balances();
CREATE TRIGGER entry_joins BEFORE INSERT ON billing_ledgerentry
  FOR EACH ROW EXECUTE FUNCTION billing_entry_joins();
CREATE TRIGGER entry_in_currency BEFORE INSERT ON billing_ledgerentry
  FOR EACH ROW EXECUTE FUNCTION billing_entry_in_currency();
CREATE TRIGGER charge_joins BEFORE INSERT ON billing_charge
  FOR EACH ROW EXECUTE FUNCTION billing_entry_joins();
CREATE TRIGGER charge_reverses BEFORE INSERT ON billing_charge
  FOR EACH ROW WHEN (NEW.reverses_id IS NOT NULL) EXECUTE FUNCTION billing_charge_reverses();
"""

_KEPT = ("ledgertransaction", "ledgerentry", "ledgeraccount", "charge", "billingterm", "commitment", "invoicedcharge")
APPEND_ONLY = "".join(
    f"""
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_{table}
  FOR EACH ROW EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_{table}
  FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only();
"""
    for table in _KEPT
)

USAGE = """
CREATE FUNCTION billing_usage_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'usage that is charged does not change: it is reversed'
    USING ERRCODE = 'restrict_violation', CONSTRAINT = 'usage_is_fixed';
END $$;
CREATE TRIGGER usage_fixed BEFORE UPDATE OR DELETE ON billing_usagerecord
  FOR EACH ROW WHEN (OLD.charged_in IS NOT NULL) EXECUTE FUNCTION billing_usage_fixed();
"""

BACKWARD = """
DROP TRIGGER usage_fixed ON billing_usagerecord;
DROP FUNCTION billing_usage_fixed();
DROP TRIGGER transaction_follows ON billing_ledgertransaction;
DROP TRIGGER transaction_balances ON billing_ledgertransaction;
DROP TRIGGER entry_joins ON billing_ledgerentry;
DROP TRIGGER entry_in_currency ON billing_ledgerentry;
DROP TRIGGER charge_joins ON billing_charge;
DROP TRIGGER charge_reverses ON billing_charge;
""" + "".join(
    f"DROP TRIGGER append_only ON billing_{table}; DROP TRIGGER never_emptied ON billing_{table};" for table in _KEPT
) + """
DROP FUNCTION billing_append_only(), billing_transaction_follows(), billing_transaction_balances(),
  billing_entry_joins(), billing_entry_in_currency(), billing_charge_reverses();
DROP FUNCTION billing_transaction_is_live(uuid);
DROP FUNCTION billing_charge_is_live(uuid);
DROP TRIGGER tax_kept ON billing_taxrule;
DROP TRIGGER tax_fixed ON billing_taxrule;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_invoiced_charges")]
    operations = [
        migrations.RunSQL(PRICES, migrations.RunSQL.noop),
        migrations.RunSQL(LEDGER + APPEND_ONLY + USAGE, BACKWARD),
    ]
