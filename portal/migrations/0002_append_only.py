"""History cannot be edited: audit rows and state changes refuse UPDATE and DELETE, whoever asks."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION portal_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON portal_auditentry
  FOR EACH ROW EXECUTE FUNCTION portal_append_only();
CREATE TRIGGER statechange_append_only BEFORE UPDATE OR DELETE ON portal_statechange
  FOR EACH ROW EXECUTE FUNCTION portal_append_only();
"""
BACKWARD = """
DROP TRIGGER statechange_append_only ON portal_statechange;
DROP TRIGGER audit_append_only ON portal_auditentry;
DROP FUNCTION portal_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("portal", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
