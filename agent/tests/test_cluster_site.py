"""The driver that a cluster's agent is started with, and its settings."""

from typing import Any

import pytest
from aquifer_agent.cluster import options
from aquifer_agent.cluster.site import BadDriver, Site, file_settings, load


def test_a_driver_is_named_and_checked(tmp_path: Any) -> None:
    assert load("filesite:FileDriver").kind == "file"
    for wrong in ("filesite", "filesite:Nothing", "filesite:opened", "no.such:Thing", ""):
        with pytest.raises(BadDriver):
            load(wrong)
    file = tmp_path / "settings.json"
    with pytest.raises(BadDriver, match="settings"):
        file_settings(file)
    file.write_text('{"a": 1}')
    settings = file_settings(file)
    assert settings() == {"a": 1}
    file.write_text('{"a": ')  # while it is exchanged
    assert settings() == {"a": 1}
    file.write_text('{"a": 2}')
    site = Site(load("filesite:FileDriver"), "c-1", "kubernetes", settings, lambda: {"ca_pem": "x"})
    site.raise_epoch(7)
    site.raise_epoch(3)
    config = site.driver().config
    assert (config.settings, config.secrets, config.epoch, config.cluster_id) == ({"a": 2}, {"ca_pem": "x"}, 7, "c-1")
    assert options.DEFAULT_DRIVER.startswith("federation.drivers.kubernetes.")
