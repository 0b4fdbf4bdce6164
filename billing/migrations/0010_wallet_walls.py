"""What came into a wallet, and what became of it, is only ever added; and the database sees that no more is taken of a
credit than is in it, and of a wallet no more than its overdraft allows."""

from django.db import migrations

_KEPT = ("credit", "credituse", "budgetalert")
APPEND_ONLY = "".join(
    f"""
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billing_{table}
  FOR EACH ROW EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON billing_{table}
  FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only();
"""
    for table in _KEPT
)

WALLETS = """
CREATE FUNCTION billing_wallet_covers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  allowed numeric;
  overdrawn numeric;
  taken numeric;
  given numeric;
BEGIN
  SELECT overdraft INTO allowed FROM billing_wallet WHERE id = NEW.wallet_id FOR UPDATE;
  IF NEW.credit_id IS NULL THEN
    SELECT coalesce(sum(amount), 0) INTO overdrawn FROM billing_credituse
      WHERE wallet_id = NEW.wallet_id AND credit_id IS NULL;
    IF overdrawn < 0 OR (NEW.amount > 0 AND overdrawn > allowed) THEN
      RAISE EXCEPTION 'a wallet would be overdrawn by %', overdrawn
        USING ERRCODE = 'check_violation', CONSTRAINT = 'wallet_not_below_zero';
    END IF;
  ELSE
    SELECT amount INTO given FROM billing_credit WHERE id = NEW.credit_id AND wallet_id = NEW.wallet_id;
    SELECT sum(amount) INTO taken FROM billing_credituse WHERE credit_id = NEW.credit_id;
    IF given IS NULL OR taken < 0 OR taken > given THEN
      RAISE EXCEPTION 'of a credit of % there would be % taken', given, taken
        USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_covers_its_uses';
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER wallet_covers AFTER INSERT ON billing_credituse
  FOR EACH ROW EXECUTE FUNCTION billing_wallet_covers();
"""

BACKWARD = (
    "DROP TRIGGER wallet_covers ON billing_credituse; DROP FUNCTION billing_wallet_covers();"
    + "".join(
        f"DROP TRIGGER append_only ON billing_{table}; DROP TRIGGER never_emptied ON billing_{table};"
        for table in _KEPT
    )
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_budgets")]
    operations = [migrations.RunSQL(APPEND_ONLY + WALLETS, BACKWARD)]
