"""Many rows in few statements: new ones by COPY, changed ones by one UPDATE from arrays.

Django's bulk_update writes a CASE of each field and row, which takes the most of a resync; these send values alone.
Neither calls save() nor sends signals, as bulk_create and bulk_update do not. Constraints and triggers hold as ever.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.db import connection, models
from psycopg import sql

_AT_ONCE = 5000


def insert(rows: Sequence[models.Model]) -> None:
    """All of one model. What has a default of the database (when it was made) gets that."""
    if not rows:
        return
    fields = [field for field in rows[0]._meta.concrete_fields if not field.has_db_default()]
    names = sql.SQL(", ").join(sql.Identifier(str(field.column)) for field in fields)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(_table(rows[0]), names)
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields])


def update(rows: Sequence[models.Model], names: Sequence[str]) -> None:
    """Write these fields of rows that exist."""
    if not rows:
        return
    meta = rows[0]._meta
    by_name = {field.name: field for field in meta.concrete_fields}
    fields = [by_name[name] for name in names]
    columns = [sql.Identifier(str(field.column)) for field in fields]
    arrays = [sql.SQL("%s::{}[]").format(sql.SQL(_type(field))) for field in (meta.pk, *fields)]
    statement = sql.SQL(
        "UPDATE {table} t SET {sets} FROM unnest({arrays}) AS v (pk, {names}) WHERE t.{pk} = v.pk"
    ).format(
        table=_table(rows[0]),
        sets=sql.SQL(", ").join(sql.SQL("{0} = v.{0}").format(column) for column in columns),
        arrays=sql.SQL(", ").join(arrays),
        names=sql.SQL(", ").join(columns),
        pk=sql.Identifier(str(meta.pk.column)),
    )
    with connection.cursor() as cursor:
        for some in _pieces(rows):
            values = [[row.pk for row in some]]
            for field in fields:
                name = field.attname
                values.append([field.get_db_prep_save(getattr(row, name), connection) for row in some])
            cursor.execute(statement.as_string(cursor.connection), values)


def _table(row: models.Model) -> sql.Identifier:
    return sql.Identifier(row._meta.db_table)


def _type(field: Any) -> str:
    """`varchar(16)` as `varchar`: a cast to the former would cut what is too long instead of refusing it."""
    kind: str = field.rel_db_type(connection) if field.is_relation else field.db_type(connection)
    return kind.partition("(")[0]


def _pieces(rows: Sequence[models.Model]) -> Iterator[list[models.Model]]:
    each = iter(rows)
    while some := list(islice(each, _AT_ONCE)):
        yield some
