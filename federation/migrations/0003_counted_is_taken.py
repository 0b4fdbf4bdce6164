"""What quota counts is what the devices hold: no share beyond its allocation's amount or of another flavor,
and none taken from an allocation that still holds hardware (its device would never be given back).
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION federation_share_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  counted record;
  taken integer;
BEGIN
  SELECT held_milli, flavor_id INTO counted FROM federation_allocation WHERE id = NEW.allocation_id;
  SELECT sum(milli) INTO taken FROM federation_share WHERE allocation_id = NEW.allocation_id;
  IF taken > counted.held_milli OR NOT EXISTS (
      SELECT FROM federation_accelerator a JOIN federation_acceleratormodel m ON m.id = a.model_id
      WHERE a.id = NEW.accelerator_id AND m.flavor_id = counted.flavor_id) THEN
    RAISE EXCEPTION 'allocation % takes what its quota does not count', NEW.allocation_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'share_counted';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION federation_share_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM federation_allocation WHERE id = OLD.allocation_id AND state <> 'released') THEN
    RAISE EXCEPTION 'what was granted does not change: release it and grant anew'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'grant_is_fixed';
  END IF;
  RETURN OLD;
END $$;

CREATE TRIGGER share_counted AFTER INSERT ON federation_share
  FOR EACH ROW EXECUTE FUNCTION federation_share_counted();
CREATE TRIGGER share_not_deleted BEFORE DELETE ON federation_share
  FOR EACH ROW EXECUTE FUNCTION federation_share_kept();
"""
BACKWARD = """
DROP TRIGGER share_not_deleted ON federation_share;
DROP TRIGGER share_counted ON federation_share;
DROP FUNCTION federation_share_kept();
DROP FUNCTION federation_share_counted();
"""


class Migration(migrations.Migration):
    dependencies = [("federation", "0002_no_over_allocation")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
