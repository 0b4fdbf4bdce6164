"""The bench of submits, at a size that takes a moment: what it says adds up."""

from typing import Any

import pytest

from federation.bench import submit
from federation.bench.figures import BenchError
from federation.reconcile import grants

pytestmark = pytest.mark.django_db(transaction=True)
OPTIONS: dict[str, Any] = {"nodes": 3, "rate": 40.0, "seconds": 0.5, "batch": 0}


@pytest.mark.parametrize("batch", [0, 20])
def test_each_is_granted_once_and_timed(batch: int) -> None:
    real = grants.commit_all
    figures = submit.run(OPTIONS | {"batch": batch})
    assert (figures["submits"], figures["grants"], figures["granted_twice"]) == (20, 20, 0)
    if batch:
        assert figures["granted_per_s"] > 0 and figures["granted_seconds"] > 0
    else:
        assert figures["granted_count"] == figures["accepted_count"] == 20
        assert figures["granted_p50_ms"] >= figures["accepted_p50_ms"] > 0, "it is accepted before it is granted"
    assert grants.commit_all is real


def test_more_than_fits_is_not_measured() -> None:
    with pytest.raises(BenchError, match="do not fit"):
        submit.run(OPTIONS | {"batch": 25})
