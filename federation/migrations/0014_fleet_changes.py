"""In which transaction a node or device last changed in what planners look at.

A planner that lives between two looks reads what changed in or after the oldest transaction that it could not see the
last time. The column is the database's alone: no model has it, and no index, which every grant would have to keep.
"""

from django.db import migrations

_NODE = "name, state, cluster_id, rack, labels, cpu_milli, memory_mib, held_cpu_milli, held_memory_mib, foreign_cpu_milli, foreign_memory_mib"
_DEVICE = "node_id, model_id, index, counted_at_id, present_parts, is_present, mode, step_milli, most_shares, memory_mib, health, held_milli, held_memory_mib, held_shares, foreign_milli, foreign_memory_mib"


def _watched(table: str, columns: str) -> str:
    old, new = (", ".join(f"{row}.{name}" for name in columns.split(", ")) for row in ("OLD", "NEW"))
    return f"""
ALTER TABLE {table} ADD COLUMN changed_in bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint);
CREATE TRIGGER changed_in BEFORE UPDATE ON {table} FOR EACH ROW
  WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION federation_changed_in();
"""


FORWARD = (
    """
CREATE FUNCTION federation_changed_in() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed_in := pg_current_xact_id()::text::bigint;
  RETURN NEW;
END $$;
"""
    + _watched("federation_node", _NODE)
    + _watched("federation_accelerator", _DEVICE)
)
BACKWARD = """
DROP TRIGGER changed_in ON federation_accelerator;
DROP TRIGGER changed_in ON federation_node;
ALTER TABLE federation_accelerator DROP COLUMN changed_in;
ALTER TABLE federation_node DROP COLUMN changed_in;
DROP FUNCTION federation_changed_in();
"""


class Migration(migrations.Migration):
    dependencies = [("federation", "0013_policies_of_pools")]
    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.RemoveField(model_name="pool", name="admitted_at"),
    ]
