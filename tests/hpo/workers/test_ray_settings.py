"""What Ray is told by the environment, unless the environment says it already."""

import os

import pytest

from hpo.workers import ray_settings


@pytest.mark.parametrize("settings", [ray_settings.FOR_WORKERS, ray_settings.FOR_JOBS])
def test_ray_asks_for_a_token_and_reports_nothing_unless_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for name in settings:
        monkeypatch.setenv(name, "")  # so that what is set here is taken back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    ray_settings.apply(settings)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"
    assert settings["RAY_USAGE_STATS_ENABLED"] == "0"
    assert {name: os.environ[name] for name in settings} == {
        **settings, "RAY_USAGE_STATS_ENABLED": "1"
    }
