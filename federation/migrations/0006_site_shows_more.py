"""What a site tells of its devices, and the walls that follow from it.

What others hold there counts as held. A card in parts is handed out by its parts; a card that is seen twice, at one
place; a share, in the steps of its device and to as many holders as the site allows. The functions of migration 0002
are replaced whole; locks are taken in the same order.
"""

from importlib import import_module

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE OR REPLACE FUNCTION federation_allocation_granted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  wanted integer;
  taken integer;
BEGIN
  IF NEW.state <> 'reserved' THEN
    RAISE EXCEPTION 'an allocation begins as reserved' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'allocation_begins_reserved';
  END IF;
  PERFORM 1 FROM portal_quota WHERE tenant_id = NEW.tenant_id AND flavor_id = NEW.flavor_id
    AND (project_id = NEW.project_id OR project_id IS NULL) ORDER BY id FOR NO KEY UPDATE;
  SELECT count(*) INTO wanted FROM portal_quota WHERE tenant_id = NEW.tenant_id AND flavor_id = NEW.flavor_id
    AND (project_id = NEW.project_id OR project_id IS NULL);
  UPDATE portal_quota SET held_milli = held_milli + NEW.held_milli
    WHERE tenant_id = NEW.tenant_id AND flavor_id = NEW.flavor_id
    AND (project_id = NEW.project_id OR project_id IS NULL)
    AND held_milli + NEW.held_milli <= nominal_milli + borrowing_limit_milli;
  GET DIAGNOSTICS taken = ROW_COUNT;
  IF wanted = 0 OR taken < wanted THEN
    RAISE EXCEPTION 'quota of project % for this flavor has no % milli left', NEW.project_id, NEW.held_milli
      USING ERRCODE = 'check_violation', CONSTRAINT = 'quota_never_over';
  END IF;
  UPDATE federation_node SET held_cpu_milli = held_cpu_milli + NEW.cpu_milli,
      held_memory_mib = held_memory_mib + NEW.memory_mib, generation = generation + 1
    WHERE id = NEW.node_id AND cluster_id = NEW.cluster_id
    AND held_cpu_milli + foreign_cpu_milli + NEW.cpu_milli <= cpu_milli
    AND held_memory_mib + foreign_memory_mib + NEW.memory_mib <= memory_mib;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'node % has not that much CPU and memory left', NEW.node_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'node_never_over';
  END IF;
  RETURN NULL;
END $$;

-- Why a device refused a share: the first of its walls that stands in the way, for the message and for tests.
CREATE FUNCTION federation_device_refuses(device uuid, node uuid, milli integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  found federation_accelerator%ROWTYPE;
BEGIN
  SELECT * INTO found FROM federation_accelerator WHERE id = device AND node_id = node AND is_present;
  IF found.counted_at_id IS NOT NULL THEN
    RAISE EXCEPTION 'device % is the same card as %, and is handed out there', device, found.counted_at_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'card_counted_once';
  ELSIF found.present_parts > 0 THEN
    RAISE EXCEPTION 'device % is handed out by its parts', device
      USING ERRCODE = 'check_violation', CONSTRAINT = 'card_in_parts';
  ELSIF found.parent_id IS NOT NULL AND milli <> 1000 OR milli <> 1000 AND milli % found.step_milli <> 0 THEN
    RAISE EXCEPTION 'device % is not handed out by % in 1000', device, milli
      USING ERRCODE = 'check_violation', CONSTRAINT = 'share_in_steps';
  ELSIF found.most_shares > 0 AND found.held_shares >= found.most_shares THEN
    RAISE EXCEPTION 'device % has its % holders', device, found.most_shares
      USING ERRCODE = 'check_violation', CONSTRAINT = 'device_most_shares';
  END IF;
  RAISE EXCEPTION 'device % has not that much left', device
    USING ERRCODE = 'check_violation', CONSTRAINT = 'device_never_over';
END $$;

CREATE OR REPLACE FUNCTION federation_share_granted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  holder federation_allocation%ROWTYPE;
  now_held integer;
  now_generation bigint;
BEGIN
  SELECT * INTO holder FROM federation_allocation WHERE id = NEW.allocation_id FOR NO KEY UPDATE;
  IF holder.state <> 'reserved' THEN
    RAISE EXCEPTION 'devices are granted with the reservation, not later' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'share_with_reservation';
  END IF;
  UPDATE federation_accelerator SET held_milli = held_milli + NEW.milli,
      held_memory_mib = held_memory_mib + NEW.memory_mib, held_shares = held_shares + 1, generation = generation + 1
    WHERE id = NEW.accelerator_id AND node_id = holder.node_id AND is_present
    AND counted_at_id IS NULL AND present_parts = 0
    AND (NEW.milli = 1000 OR parent_id IS NULL AND NEW.milli % step_milli = 0)
    AND (most_shares = 0 OR held_shares < most_shares)
    AND held_milli + foreign_milli + NEW.milli <= 1000
    AND held_memory_mib + foreign_memory_mib + NEW.memory_mib <= memory_mib
    RETURNING held_milli, generation INTO now_held, now_generation;
  IF NOT FOUND THEN
    PERFORM federation_device_refuses(NEW.accelerator_id, holder.node_id, NEW.milli);
  END IF;
  INSERT INTO federation_ledgerentry (accelerator_id, allocation_id, generation, delta_milli, held_milli)
    VALUES (NEW.accelerator_id, NEW.allocation_id, now_generation, NEW.milli, now_held);
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION federation_allocation_released() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  part record;
  now_held integer;
  now_generation bigint;
BEGIN
  IF OLD.state = 'released' THEN
    RAISE EXCEPTION 'a released allocation stays released' USING ERRCODE = 'check_violation',
      CONSTRAINT = 'released_is_final';
  END IF;
  IF NEW.state = 'released' THEN
    PERFORM 1 FROM portal_quota WHERE tenant_id = NEW.tenant_id AND flavor_id = NEW.flavor_id
      AND (project_id = NEW.project_id OR project_id IS NULL) ORDER BY id FOR NO KEY UPDATE;
    UPDATE portal_quota SET held_milli = GREATEST(held_milli - NEW.held_milli, 0)
      WHERE tenant_id = NEW.tenant_id AND flavor_id = NEW.flavor_id
      AND (project_id = NEW.project_id OR project_id IS NULL);
    UPDATE federation_node SET held_cpu_milli = held_cpu_milli - NEW.cpu_milli,
        held_memory_mib = held_memory_mib - NEW.memory_mib, generation = generation + 1 WHERE id = NEW.node_id;
    FOR part IN SELECT * FROM federation_share WHERE allocation_id = NEW.id ORDER BY accelerator_id LOOP
      UPDATE federation_accelerator SET held_milli = held_milli - part.milli,
          held_memory_mib = held_memory_mib - part.memory_mib, held_shares = held_shares - 1,
          generation = generation + 1
        WHERE id = part.accelerator_id RETURNING held_milli, generation INTO now_held, now_generation;
      INSERT INTO federation_ledgerentry (accelerator_id, allocation_id, generation, delta_milli, held_milli)
        VALUES (part.accelerator_id, NEW.id, now_generation, -part.milli, now_held);
    END LOOP;
  END IF;
  RETURN NULL;
END $$;

-- How many parts a card shows: a column, since only what the row itself says is read again under its lock.
CREATE FUNCTION federation_parts_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' AND OLD.parent_id IS NOT NULL AND OLD.is_present THEN
    UPDATE federation_accelerator SET present_parts = present_parts - 1 WHERE id = OLD.parent_id;
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.parent_id IS NOT NULL AND NEW.is_present THEN
    UPDATE federation_accelerator SET present_parts = present_parts + 1 WHERE id = NEW.parent_id;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER parts_appear AFTER INSERT ON federation_accelerator FOR EACH ROW
  WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION federation_parts_counted();
CREATE TRIGGER parts_vanish AFTER DELETE ON federation_accelerator FOR EACH ROW
  WHEN (OLD.parent_id IS NOT NULL) EXECUTE FUNCTION federation_parts_counted();
CREATE TRIGGER parts_change AFTER UPDATE OF parent_id, is_present ON federation_accelerator FOR EACH ROW
  WHEN ((OLD.parent_id, OLD.is_present) IS DISTINCT FROM (NEW.parent_id, NEW.is_present)
        AND (OLD.parent_id IS NOT NULL OR NEW.parent_id IS NOT NULL)) EXECUTE FUNCTION federation_parts_counted();

UPDATE federation_accelerator d SET step_milli = greatest(m.smallest_share_milli, 1),
  held_shares = (SELECT count(*) FROM federation_share s JOIN federation_allocation a ON a.id = s.allocation_id
                 WHERE s.accelerator_id = d.id AND a.state <> 'released')
  FROM federation_acceleratormodel m WHERE m.id = d.model_id;
"""

_FIRST = import_module("federation.migrations.0002_no_over_allocation").FORWARD
BACKWARD = """
DROP TRIGGER parts_change ON federation_accelerator;
DROP TRIGGER parts_vanish ON federation_accelerator;
DROP TRIGGER parts_appear ON federation_accelerator;
DROP FUNCTION federation_parts_counted();
DROP FUNCTION federation_device_refuses(uuid, uuid, integer);
""" + _FIRST.partition("CREATE FUNCTION federation_grant_is_fixed")[0].replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
)


class Migration(migrations.Migration):
    dependencies = [
        ("federation", "0005_cluster_credential"),
    ]

    operations = [
        migrations.AddField(
            model_name="accelerator",
            name="counted_at",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="twins",
                to="federation.accelerator",
            ),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="foreign_memory_mib",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="foreign_milli",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="held_shares",
            field=models.PositiveIntegerField(default=0, editable=False, help_text="Its live holders."),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="is_identified",
            field=models.BooleanField(default=True, help_text="False: the site only counts its cards."),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="mode",
            field=models.CharField(default="exclusive", help_text="How its site hands it out.", max_length=16),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="most_shares",
            field=models.PositiveIntegerField(default=0, help_text="Holders at one time at most; 0: no such limit."),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="parent",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="parts",
                to="federation.accelerator",
            ),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="present_parts",
            field=models.PositiveSmallIntegerField(default=0, editable=False, help_text="Its partitions that are there now."),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="resource",
            field=models.CharField(blank=True, default="", help_text="The site's own word for it.", max_length=253),
        ),
        migrations.AddField(
            model_name="accelerator",
            name="step_milli",
            field=models.PositiveSmallIntegerField(default=1000, help_text="Shares are multiples of this, or 1000."),
        ),
        migrations.AddField(
            model_name="allocation",
            name="failing_since",
            field=models.DateTimeField(help_text="Since when the site says that it cannot be started.", null=True),
        ),
        migrations.AddField(
            model_name="node",
            name="foreign_cpu_milli",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="node",
            name="foreign_memory_mib",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="workload",
            name="grace_seconds",
            field=models.PositiveSmallIntegerField(default=10, help_text="Between the wish to end and the end."),
        ),
        migrations.AddField(
            model_name="workload",
            name="ports",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.PositiveIntegerField(), blank=True, default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="workload",
            name="pull_secrets",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=253), blank=True, default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="workload",
            name="secret_env",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=253), blank=True, default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="workload",
            name="volumes",
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AlterField(
            model_name="accelerator",
            name="uuid",
            field=models.CharField(max_length=300),
        ),
        migrations.AddConstraint(
            model_name="accelerator",
            constraint=models.CheckConstraint(
                condition=models.Q(("step_milli__gte", 1), ("step_milli__lte", 1000)), name="accelerator_step"
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
