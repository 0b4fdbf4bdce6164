"""Fixtures that every test may use."""

from collections.abc import Iterator

import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo

from federation.drivers import fake_postgres


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The simulated sites keep connections of their own; they are closed before the database is dropped."""
    yield
    fake_postgres.close_all()


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
