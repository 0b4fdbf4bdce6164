"""Over-allocation is impossible in the database, whatever the code above it does.

A grant (INSERT into allocation and share) raises what its quotas, its node and its devices hold, each by a
conditional UPDATE that finds no row when there is not enough left. The UPDATE takes the row lock and
re-reads under it, so racing grants cannot both pass, at any isolation level. A release gives back. The
held_* columns have no other writer. Locks are always taken in the order quota, node, device, by id.

Capacity that shrinks below what is held is accepted (nothing is killed); only growth is refused.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION federation_allocation_granted() RETURNS trigger LANGUAGE plpgsql AS $$
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
    WHERE id = NEW.node_id AND cluster_id = NEW.cluster_id AND held_cpu_milli + NEW.cpu_milli <= cpu_milli
    AND held_memory_mib + NEW.memory_mib <= memory_mib;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'node % has not that much CPU and memory left', NEW.node_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'node_never_over';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION federation_share_granted() RETURNS trigger LANGUAGE plpgsql AS $$
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
      held_memory_mib = held_memory_mib + NEW.memory_mib, generation = generation + 1
    WHERE id = NEW.accelerator_id AND node_id = holder.node_id AND is_present
    AND held_milli + NEW.milli <= 1000 AND held_memory_mib + NEW.memory_mib <= memory_mib
    RETURNING held_milli, generation INTO now_held, now_generation;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'device % has not that much left', NEW.accelerator_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'device_never_over';
  END IF;
  INSERT INTO federation_ledgerentry (accelerator_id, allocation_id, generation, delta_milli, held_milli)
    VALUES (NEW.accelerator_id, NEW.allocation_id, now_generation, NEW.milli, now_held);
  RETURN NULL;
END $$;

CREATE FUNCTION federation_allocation_released() RETURNS trigger LANGUAGE plpgsql AS $$
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
          held_memory_mib = held_memory_mib - part.memory_mib, generation = generation + 1
        WHERE id = part.accelerator_id RETURNING held_milli, generation INTO now_held, now_generation;
      INSERT INTO federation_ledgerentry (accelerator_id, allocation_id, generation, delta_milli, held_milli)
        VALUES (part.accelerator_id, NEW.id, now_generation, -part.milli, now_held);
    END LOOP;
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION federation_grant_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what was granted does not change: release it and grant anew'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'grant_is_fixed';
END $$;

-- A quota made while work already holds its flavor begins with what is held, so that counting stays right.
CREATE FUNCTION federation_quota_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  LOCK TABLE federation_allocation IN SHARE MODE;  -- grants in flight commit first, and are counted
  SELECT coalesce(sum(held_milli), 0) INTO NEW.held_milli FROM federation_allocation
    WHERE tenant_id = NEW.tenant_id AND flavor_id = NEW.flavor_id AND state <> 'released'
    AND (NEW.project_id IS NULL OR project_id = NEW.project_id);
  RETURN NEW;
END $$;

CREATE TRIGGER allocation_granted AFTER INSERT ON federation_allocation
  FOR EACH ROW EXECUTE FUNCTION federation_allocation_granted();
CREATE TRIGGER allocation_released AFTER UPDATE OF state ON federation_allocation
  FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION federation_allocation_released();
CREATE TRIGGER allocation_fixed BEFORE UPDATE ON federation_allocation FOR EACH ROW
  WHEN ((OLD.tenant_id, OLD.project_id, OLD.cluster_id, OLD.node_id, OLD.flavor_id, OLD.cpu_milli, OLD.memory_mib,
         OLD.held_milli) IS DISTINCT FROM (NEW.tenant_id, NEW.project_id, NEW.cluster_id, NEW.node_id, NEW.flavor_id,
         NEW.cpu_milli, NEW.memory_mib, NEW.held_milli)) EXECUTE FUNCTION federation_grant_is_fixed();
CREATE TRIGGER allocation_not_deleted BEFORE DELETE ON federation_allocation FOR EACH ROW
  WHEN (OLD.state <> 'released') EXECUTE FUNCTION federation_grant_is_fixed();
CREATE TRIGGER share_granted AFTER INSERT ON federation_share
  FOR EACH ROW EXECUTE FUNCTION federation_share_granted();
CREATE TRIGGER share_fixed BEFORE UPDATE ON federation_share
  FOR EACH ROW EXECUTE FUNCTION federation_grant_is_fixed();
CREATE TRIGGER quota_begins BEFORE INSERT ON portal_quota
  FOR EACH ROW EXECUTE FUNCTION federation_quota_begins();
"""
BACKWARD = """
DROP TRIGGER quota_begins ON portal_quota;
DROP TRIGGER share_fixed ON federation_share;
DROP TRIGGER share_granted ON federation_share;
DROP TRIGGER allocation_not_deleted ON federation_allocation;
DROP TRIGGER allocation_fixed ON federation_allocation;
DROP TRIGGER allocation_released ON federation_allocation;
DROP TRIGGER allocation_granted ON federation_allocation;
DROP FUNCTION federation_quota_begins();
DROP FUNCTION federation_grant_is_fixed();
DROP FUNCTION federation_allocation_released();
DROP FUNCTION federation_share_granted();
DROP FUNCTION federation_allocation_granted();
"""


class Migration(migrations.Migration):
    dependencies = [("federation", "0001_initial"), ("portal", "0002_append_only")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
