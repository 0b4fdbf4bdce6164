"""Fixtures that every test may use."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import override_settings
from psycopg.conninfo import make_conninfo

from federation.drivers import fake_postgres


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The simulated sites keep connections of their own; they are closed before the database is dropped."""
    with pytest.MonkeyPatch.context() as patch:
        _let_the_ledger_be_emptied(patch)
        yield
    fake_postgres.close_all()
    # So are those of threads that served ASGI requests in a test; nobody is left to close them.
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [_database_name()],
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What touches the database or starts the product's processes: CI has it twice, on servers of two kinds."""
    for item in items:
        fixtures = {"db", "transactional_db", "database_dsn"} & {*getattr(item, "fixturenames", ())}
        if fixtures or any(item.get_closest_marker(name) for name in ("django_db", "processes")):
            item.add_marker("servers")


def pytest_collection_finish(session: pytest.Session) -> None:
    """What plans is compiled before real workers have a time limit for it, as deploy/Dockerfile does it for those of a
    cluster. What is made is kept on disk."""
    wanted = any(item.get_closest_marker(kind) for item in session.items for kind in ("processes", "browser"))
    if wanted and not session.config.option.collectonly:
        warm = "from federation.placement import plan; plan.warm()"
        subprocess.run([sys.executable, "-c", warm], check=True, cwd=Path(__file__).parents[1], timeout=600)


@pytest.fixture(scope="session", autouse=True)
def exports_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests export is not among what this installation does."""
    with override_settings(EXPORTS_DIR=tmp_path_factory.mktemp("exports")):
        yield


def _let_the_ledger_be_emptied(patch: pytest.MonkeyPatch) -> None:
    """Between tests with transactions of their own all tables are emptied, also those that refuse it to everybody."""
    operations: Any = type(connection.ops)
    flush = operations.execute_sql_flush

    def without_triggers(self: Any, statements: list[str]) -> None:
        off, on = "SET session_replication_role = replica", "SET session_replication_role = origin"
        flush(self, [off, *statements, on])

    patch.setattr(operations, "execute_sql_flush", without_triggers)


def _database_name() -> str:
    return str(connection.settings_dict["NAME"])


@pytest.fixture
def database_dsn(db: None) -> str:
    """The test database as a psycopg connection string, for what opens connections of its own."""
    parts = connection.settings_dict
    return make_conninfo(
        dbname=parts["NAME"],
        user=parts["USER"] or None,
        password=parts["PASSWORD"] or None,
        host=parts["HOST"] or None,
        port=parts["PORT"] or None,
    )
