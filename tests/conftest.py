"""Fixtures that every test may use."""

import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo


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
