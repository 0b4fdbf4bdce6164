"""Many rows in few statements: new ones by COPY, changed ones by one UPDATE from arrays.

Rows are tuples of values in the order of the names given with them: to make an object of each takes longer than all
that the database does with it. Nothing calls save() or sends signals, as bulk_create and bulk_update do not either.
Constraints and triggers hold as ever.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.db.models import F, Func, Value
from psycopg import sql

_AT_ONCE = 5000
Values = tuple[Any, ...]


def insert(model: type[models.Model], names: Sequence[str], rows: Sequence[Values]) -> None:
    """What is not named gets its default; what has a default of the database (when it was made) gets that."""
    if not rows:
        return
    fields = [_field(model, name) for name in names]
    others = [
        f for f in model._meta.concrete_fields
        if f not in fields and not f.has_db_default() and not isinstance(f, models.AutoField)
    ]  # fmt: skip
    defaults = tuple(field.get_db_prep_save(field.get_default(), connection) for field in others)
    columns = sql.SQL(", ").join(sql.Identifier(str(field.column)) for field in (*fields, *others))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(_table(model), columns)
    documents = [at for at, field in enumerate(fields) if isinstance(field, models.JSONField)]
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(_with_texts(row, documents) + defaults)


def _with_texts(row: Values, documents: Sequence[int]) -> Values:
    if not documents:
        return row
    values = list(row)
    for at in documents:
        values[at] = json.dumps(values[at])
    return tuple(values)


def update(
    model: type[models.Model],
    names: Sequence[str],
    rows: Iterable[Values],
    *,
    same: Mapping[str, Any] | None = None,
    rising: str = "",
    now: str = "",
) -> int:
    """Write these fields of rows that exist; the id of each stands before its values. How many there were.

    `same` has fields that get one value everywhere; the field `rising` is raised by one, `now` gets the present.
    """
    fixed = [(_field(model, name), value) for name, value in (same or {}).items()]
    fields = [model._meta.pk, *(_field(model, name) for name in names)]
    columns = [sql.Identifier(str(field.column)) for field in fields[1:]]
    statement = sql.SQL(
        "UPDATE {table} t SET {sets} FROM unnest({arrays}) AS v (pk, {names}) WHERE t.{pk} = v.pk"
    ).format(
        table=_table(model),
        sets=sql.SQL(", ").join(
            [
                *(sql.SQL("{0} = v.{0}").format(column) for column in columns),
                *(sql.SQL("{} = %s").format(sql.Identifier(str(field.column))) for field, _ in fixed),
                *(sql.SQL("{0} = t.{0} + 1").format(_column(model, rising)) for _ in rising[:1]),
                *(sql.SQL("{} = now()").format(_column(model, now)) for _ in now[:1]),
            ]
        ),
        arrays=sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.SQL(_type(field))) for field in fields),
        names=sql.SQL(", ").join(columns),
        pk=sql.Identifier(str(fields[0].column)),
    )
    values = [field.get_db_prep_save(value, connection) for field, value in fixed]
    done = 0
    with connection.cursor() as cursor:
        for some in _pieces(rows):
            arrays = [array(column) for column in zip(*some, strict=True)]
            cursor.execute(statement.as_string(cursor.connection), [*values, *arrays])
            done += cursor.rowcount
    return done


def among(name: str, values: Collection[Any], kind: str = "uuid") -> Func:
    """A condition: one of these. As one array; a list of thousands of parameters takes longer than what it asks for."""
    asked = Value(array(list(values)), output_field=models.TextField())
    return Func(
        F(name), asked, template=f"%(expressions)s::{kind}[])", arg_joiner=" = ANY (",
        output_field=models.BooleanField(),
    )  # fmt: skip


def array(values: Sequence[Any]) -> str:
    """The values of one column, all of one type, as Postgres writes an array. psycopg would ask of each how to."""
    first = next((value for value in values if value is not None), 0)
    text = next(text for kind, text in _TEXTS.items() if isinstance(first, kind))
    if None in values:
        return "{" + ",".join("NULL" if value is None else text(value) for value in values) + "}"
    return "{" + ",".join(map(text, values)) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_TEXTS: Mapping[type, Callable[[Any], str]] = {
    int: str,
    bool: str,
    str: _quoted,
    UUID: lambda value: value.hex,
    dict: lambda value: _quoted(json.dumps(value)),
    list: lambda value: _quoted(json.dumps(value)),
}


def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)


def _column(model: type[models.Model], name: str) -> sql.Identifier:
    return sql.Identifier(str(_field(model, name).column))


def _table(model: type[models.Model]) -> sql.Identifier:
    return sql.Identifier(model._meta.db_table)


def _type(field: Any) -> str:
    """`varchar(16)` as `varchar`: a cast to the former would cut what is too long instead of refusing it."""
    kind: str = field.rel_db_type(connection) if field.is_relation else field.db_type(connection)
    return kind.partition("(")[0]


def _pieces(rows: Iterable[Values]) -> Iterator[list[Values]]:
    each = iter(rows)
    while some := list(islice(each, _AT_ONCE)):
        yield some
