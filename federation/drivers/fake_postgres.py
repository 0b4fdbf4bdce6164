"""The store of fake sites in PostgreSQL: a schema of its own, a connection of its own, seen by all workers."""

import atexit
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Json, Jsonb

from federation.drivers.base import Unavailable
from federation.drivers.fake_store import Shown, Turn, Work, from_json, to_json

_TIMEOUT_SECONDS = 5
_TABLES = """
CREATE SCHEMA IF NOT EXISTS fakesite;
CREATE TABLE IF NOT EXISTS fakesite.site (
  cluster_id text PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 0,
  control jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS fakesite.calls (
  cluster_id text NOT NULL,
  key text NOT NULL,
  times bigint NOT NULL,
  called_at double precision NOT NULL,
  PRIMARY KEY (cluster_id, key)
);
CREATE TABLE IF NOT EXISTS fakesite.work (
  cluster_id text NOT NULL,
  ref text NOT NULL,
  node text NOT NULL,
  gone_at double precision,
  course json NOT NULL,
  PRIMARY KEY (cluster_id, ref)
);
CREATE INDEX IF NOT EXISTS work_gone ON fakesite.work (cluster_id, gone_at);
CREATE INDEX IF NOT EXISTS calls_old ON fakesite.calls (cluster_id, called_at);
CREATE INDEX IF NOT EXISTS work_node ON fakesite.work (cluster_id, node, gone_at);
"""
_SITE = "SELECT control, epoch FROM fakesite.site WHERE cluster_id = %s"
# Control, epoch and work in one statement, so that they are of one moment; a site nobody wrote to yet has no row.
_LOOK = """
SELECT coalesce(s.control, '{{}}'), coalesce(s.epoch, 0), (
  SELECT coalesce(json_agg(course), '[]') FROM fakesite.work WHERE cluster_id = me.cluster_id AND {condition}
)
FROM (SELECT %(site)s::text AS cluster_id) AS me LEFT JOIN fakesite.site s USING (cluster_id)
"""


class Link:
    """One connection, opened when first needed and again after it was lost. Threads take turns."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None

    @contextmanager
    def use(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection, ours alone for the moment. What goes wrong with it is Unavailable."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _open(self._dsn)
                yield self._connection
            except psycopg.Error as error:
                # The message of a psycopg error may quote the address; its class never holds a secret.
                raise Unavailable(f"The store of the simulated site failed: {type(error).__name__}.") from error
            finally:
                if self._connection is not None and self._connection.broken:
                    self.close()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


# Keyed by process: after a fork the child finds no link of its own, opens one, and leaves its parent's alone.
_links: dict[tuple[int, str], Link] = {}


def link_to(dsn: str) -> Link:
    key = (os.getpid(), dsn)
    return _links.get(key) or _links.setdefault(key, Link(dsn))


@atexit.register
def close_all() -> None:
    """Close this process's connections, as before dropping a test database. They open again when needed."""
    for (pid, _), link in list(_links.items()):
        if pid == os.getpid():
            link.close()


def _open(dsn: str) -> psycopg.Connection[Any]:
    milliseconds = _TIMEOUT_SECONDS * 1000
    connection = psycopg.connect(
        make_conninfo(
            dsn,
            connect_timeout=_TIMEOUT_SECONDS,
            tcp_user_timeout=milliseconds,  # a half-open connection is noticed in time as well
            application_name="aquifer-fakesite",
            options=f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
        ),
        autocommit=True,
    )
    try:
        _make_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: psycopg.Connection[Any]) -> None:
    """Once. A role without the right to create schemas can use those that its owner made before."""
    with connection.transaction():
        if connection.execute("SELECT to_regclass('fakesite.work_node')").fetchone() != (None,):
            return
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('fakesite', 0))")
        connection.execute(_TABLES)


class PostgresStore:
    """The fake site of one cluster. Implements fake_store.Store."""

    def __init__(self, link: Link, cluster_id: str) -> None:
        self._link = link
        self._cluster_id = cluster_id

    def look(self, refs: Collection[str]) -> Shown:
        return self._shown("ref = ANY(%(refs)s)", {"refs": list(refs)})

    def there(self, now: float) -> Shown:
        return self._shown("(gone_at IS NULL OR gone_at > %(now)s)", {"now": now})

    def _shown(self, condition: str, values: dict[str, Any]) -> Shown:
        query = _LOOK.format(condition=condition).encode()
        with self._link.use() as connection:
            row = connection.execute(query, {**values, "site": self._cluster_id}).fetchone()
        assert row is not None  # a LEFT JOIN from one row has one
        return Shown(row[0], row[1], {course["ref"]: from_json(course) for course in row[2]})

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        with self._link.use() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [self._cluster_id])
            row = connection.execute(_SITE, [self._cluster_id]).fetchone()
            yield _PostgresTurn(connection, self._cluster_id, row[1] if row else 0)

    def count(self, key: str, now: float) -> int:
        with self._link.use() as connection:
            row = connection.execute(
                """INSERT INTO fakesite.calls AS c (cluster_id, key, times, called_at) VALUES (%s, %s, 1, %s)
                   ON CONFLICT (cluster_id, key) DO UPDATE
                     SET times = c.times + 1, called_at = greatest(c.called_at, excluded.called_at)
                   RETURNING times""",
                [self._cluster_id, key, now],
            ).fetchone()
        assert row is not None  # RETURNING of an upsert always returns its row
        return int(row[0])

    def set_control(self, changes: Mapping[str, Any]) -> None:
        with self._link.use() as connection:
            connection.execute(
                """INSERT INTO fakesite.site AS s (cluster_id, control) VALUES (%s, jsonb_strip_nulls(%s))
                   ON CONFLICT (cluster_id) DO UPDATE SET control = jsonb_strip_nulls(s.control || %s)""",
                [self._cluster_id, Jsonb(dict(changes)), Jsonb(dict(changes))],
            )


class _PostgresTurn:
    def __init__(self, connection: psycopg.Connection[Any], cluster_id: str, epoch: int) -> None:
        self._connection = connection
        self._cluster_id = cluster_id
        self.epoch = epoch

    def get(self, ref: str) -> Work | None:
        found = self._work("ref = %s", ref)
        return found[0] if found else None

    def there(self, node: str, now: float) -> Collection[Work]:
        return self._work("node = %s AND (gone_at IS NULL OR gone_at > %s)", node, now)

    def _work(self, condition: str, *values: object) -> list[Work]:
        query = f"SELECT course FROM fakesite.work WHERE cluster_id = %s AND {condition}"  # noqa: S608  # ours
        rows = self._connection.execute(query.encode(), [self._cluster_id, *values])
        return [from_json(row[0]) for row in rows]

    def put(self, work: Work) -> None:
        self._connection.execute(
            """INSERT INTO fakesite.work (cluster_id, ref, node, gone_at, course) VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (cluster_id, ref) DO UPDATE
                 SET node = excluded.node, gone_at = excluded.gone_at, course = excluded.course""",
            [self._cluster_id, work.ref, work.node, work.gone_at, Json(to_json(work))],
        )

    def raise_epoch(self, epoch: int) -> None:
        if epoch <= self.epoch:
            return
        self.epoch = epoch
        self._connection.execute(
            """INSERT INTO fakesite.site AS s (cluster_id, epoch) VALUES (%s, %s)
               ON CONFLICT (cluster_id) DO UPDATE SET epoch = greatest(s.epoch, excluded.epoch)""",
            [self._cluster_id, epoch],
        )

    def forget(self, before: float) -> None:
        mine = [self._cluster_id, before]
        self._connection.execute("DELETE FROM fakesite.work WHERE cluster_id = %s AND gone_at < %s", mine)
        # Counted calls of refs that were never created go the same way.
        self._connection.execute("DELETE FROM fakesite.calls WHERE cluster_id = %s AND called_at < %s", mine)
