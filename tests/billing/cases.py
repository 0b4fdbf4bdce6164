"""Properties that are tried on a number of cases in CI, and on 10,000 by the marker `slow`."""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

AT_LENGTH = 10_000
_QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}


def holds_for(*strategies: Any, cases: int = 2000, at_length: int = AT_LENGTH) -> Callable[[Any], Any]:
    """`given`, and a twin of the test beside it (`..._at_length`) that is slow."""

    def decorate(test: Any) -> Any:
        twin: Any = FunctionType(test.__code__, test.__globals__, f"{test.__name__}_at_length", test.__defaults__)
        twin.__annotations__, twin.__module__, twin.__doc__ = test.__annotations__, test.__module__, test.__doc__
        twin.__qualname__ = twin.__name__
        long = settings(max_examples=at_length, **_QUIET)(given(*strategies)(twin))  # type: ignore[arg-type]  # by name
        test.__globals__[twin.__name__] = pytest.mark.timeout(3000)(pytest.mark.slow(long))
        return settings(max_examples=cases, **_QUIET)(given(*strategies)(test))  # type: ignore[arg-type]  # as above

    return decorate
