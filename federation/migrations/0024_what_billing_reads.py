"""By what each grant was given, and which devices there were when: facts that billing reads.

Both are written by triggers, so that no way of granting or of following an inventory goes past them. The row triggers
on devices have conditions: a grant, which changes what a device holds, does not fire them.
"""

import django.db.models.functions.datetime
import federation.states
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION federation_allocation_class() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Both walls count, the project's and the tenant's, and the lower of what they promise. Whoever grants has locked them.
  SELECT CASE WHEN min(nominal_milli) = 0 THEN 'best-effort'
              WHEN bool_or(held_milli + NEW.held_milli > nominal_milli) THEN 'over-quota' ELSE 'guaranteed' END
    INTO NEW.service_class
    FROM portal_quota WHERE tenant_id = NEW.tenant_id AND flavor_id = NEW.flavor_id
      AND (project_id = NEW.project_id OR project_id IS NULL);
  RETURN NEW;
END $$;
CREATE TRIGGER allocation_class BEFORE INSERT ON federation_allocation
  FOR EACH ROW EXECUTE FUNCTION federation_allocation_class();

CREATE FUNCTION federation_device_offers(present boolean, counted uuid, parts integer, node uuid) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN present AND counted IS NULL AND parts = 0
    AND (SELECT state FROM federation_node WHERE id = node) <> 'gone' THEN 1000 ELSE 0 END
$$;
CREATE FUNCTION federation_devices_came() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO federation_capacitychange (accelerator_id, node_id, model_id, milli)
    SELECT id, node_id, model_id, federation_device_offers(is_present, counted_at_id, present_parts, node_id) FROM came;
  RETURN NULL;
END $$;
CREATE FUNCTION federation_device_turned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO federation_capacitychange (accelerator_id, node_id, model_id, milli) VALUES (NEW.id, NEW.node_id,
    NEW.model_id, federation_device_offers(NEW.is_present, NEW.counted_at_id, NEW.present_parts, NEW.node_id));
  RETURN NULL;
END $$;
CREATE FUNCTION federation_device_went() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO federation_capacitychange (accelerator_id, node_id, model_id, milli)
    VALUES (OLD.id, OLD.node_id, OLD.model_id, 0);
  RETURN NULL;
END $$;
CREATE FUNCTION federation_node_turned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO federation_capacitychange (accelerator_id, node_id, model_id, milli)
    SELECT id, node_id, model_id, federation_device_offers(is_present, counted_at_id, present_parts, node_id)
    FROM federation_accelerator WHERE node_id = NEW.id;
  RETURN NULL;
END $$;
CREATE TRIGGER capacity_came AFTER INSERT ON federation_accelerator REFERENCING NEW TABLE AS came
  FOR EACH STATEMENT EXECUTE FUNCTION federation_devices_came();
CREATE TRIGGER capacity_turned AFTER UPDATE ON federation_accelerator FOR EACH ROW
  WHEN ((OLD.is_present, OLD.counted_at_id, OLD.present_parts = 0, OLD.node_id, OLD.model_id) IS DISTINCT FROM
        (NEW.is_present, NEW.counted_at_id, NEW.present_parts = 0, NEW.node_id, NEW.model_id))
  EXECUTE FUNCTION federation_device_turned();
CREATE TRIGGER capacity_went AFTER DELETE ON federation_accelerator
  FOR EACH ROW EXECUTE FUNCTION federation_device_went();
CREATE TRIGGER capacity_of_node AFTER UPDATE ON federation_node FOR EACH ROW
  WHEN ((OLD.state = 'gone') <> (NEW.state = 'gone')) EXECUTE FUNCTION federation_node_turned();

CREATE FUNCTION federation_capacity_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON federation_capacitychange
  FOR EACH ROW EXECUTE FUNCTION federation_capacity_kept();

-- What is there now is known from now on.
INSERT INTO federation_capacitychange (accelerator_id, node_id, model_id, milli)
  SELECT id, node_id, model_id, federation_device_offers(is_present, counted_at_id, present_parts, node_id)
  FROM federation_accelerator;
"""
BACKWARD = """
DROP TRIGGER capacity_of_node ON federation_node;
DROP TRIGGER capacity_went ON federation_accelerator;
DROP TRIGGER capacity_turned ON federation_accelerator;
DROP TRIGGER capacity_came ON federation_accelerator;
DROP TRIGGER append_only ON federation_capacitychange;
DROP TRIGGER allocation_class ON federation_allocation;
DROP FUNCTION federation_capacity_kept(), federation_node_turned(), federation_device_went(),
  federation_device_turned(), federation_devices_came(), federation_allocation_class();
DROP FUNCTION federation_device_offers(boolean, uuid, integer, uuid);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('federation', '0023_bare_servers'),
    ]

    operations = [
        migrations.AddField(
            model_name='allocation',
            name='service_class',
            field=models.CharField(choices=[('guaranteed', 'guaranteed'), ('over-quota', 'over-quota'), ('best-effort', 'best-effort')], default=federation.states.ServiceClass['GUARANTEED'], help_text='By what it was granted, at that moment.', max_length=16),
        ),
        migrations.CreateModel(
            name='CapacityChange',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('accelerator_id', models.UUIDField()),
                ('node_id', models.UUIDField()),
                ('model_id', models.UUIDField()),
                ('milli', models.PositiveSmallIntegerField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'indexes': [models.Index(fields=['accelerator_id', 'id'], name='capacitychange_device'), models.Index(fields=['at'], name='capacitychange_at')],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
