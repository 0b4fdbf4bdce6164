"""Properties that are tried on a number of cases in CI, and on 10,000 by the marker `thorough`."""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

AT_LENGTH = 10_000
_QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}


_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # what a database is needed for takes too long to shrink


def holds_for(
    *strategies: Any, cases: int = 2000, at_length: int = AT_LENGTH, is_shrunk: bool = True
) -> Callable[[Any], Any]:
    """`given`, and a twin of the test beside it (`..._at_length`) that is `thorough`, and slow."""

    how: dict[str, Any] = {**_QUIET, **({} if is_shrunk else {"phases": _PHASES})}

    def decorate(test: Any) -> Any:
        twin: Any = FunctionType(test.__code__, test.__globals__, f"{test.__name__}_at_length", test.__defaults__)
        twin.__annotations__, twin.__module__, twin.__doc__ = test.__annotations__, test.__module__, test.__doc__
        twin.__qualname__ = twin.__name__
        long = settings(max_examples=at_length, **how)(given(*strategies)(twin))
        test.__globals__[twin.__name__] = pytest.mark.timeout(3000)(pytest.mark.thorough(pytest.mark.slow(long)))
        return settings(max_examples=cases, **how)(given(*strategies)(test))

    return decorate
