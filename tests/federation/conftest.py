"""Fixtures of the federation's tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.checker.meddler import DRIVERS, Meddler
from tests.federation.estate import Estate


@pytest.fixture
def meddler(settings: Any) -> Iterator[type[Meddler]]:
    """Sites at which a test can make things happen in the middle of a call."""
    settings.FEDERATION_DRIVERS = DRIVERS
    Meddler.forget()
    yield Meddler
    Meddler.forget()


@pytest.fixture
def estate() -> Estate:
    return Estate()
