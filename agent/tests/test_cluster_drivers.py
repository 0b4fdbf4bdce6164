"""`run-site`: which drivers it knows, and what it says when it cannot begin."""

from pathlib import Path

import pytest
from aquifer_agent import cli
from aquifer_agent.cluster.drivers import KINDS


def test_each_kind_names_a_class_and_where_its_site_is() -> None:
    for name, kind in KINDS.items():
        module, _, word = kind.driver.partition(":")
        assert module.startswith(f"federation.drivers.{name}") and word.endswith("Driver")
    assert {name for name, kind in KINDS.items() if kind.server} == {"docker", "kvm"}


def test_a_kind_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["run-site", "--driver", "mainframe", "--state-dir", str(tmp_path)])
    assert ended.value.code == 2


def test_without_an_identity_it_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert cli.main(["run-site", "--driver", "kvm", "--state-dir", str(tmp_path)]) == 2
    assert "holds no identity" in caplog.text


def test_a_site_whose_place_is_not_known_by_itself_must_be_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert cli.main(["run-site", "--driver", "kubernetes", "--state-dir", str(tmp_path)]) == 2
    assert "--server" in caplog.text
