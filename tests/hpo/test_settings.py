"""Settings are read as they were written, in this version of hpo and in those before it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.distributions import CategoricalDistribution, FloatDistribution, IntegerDistribution
from hpo.errors import InputError
from hpo.search.pruning import MedianPruner, PercentilePruner, SuccessiveHalvingPruner
from hpo.settings import FORMAT, fingerprint, settings_from
from tests.fixtures import round_settings

SPACE = {
    "rate": FloatDistribution(1e-4, 1.0, log=True, limits=(1e-6, 10.0)),
    "sizes": CategoricalDistribution(((100,), (100, 100))),
    "epochs": IntegerDistribution(1, 9, step=2),
}
WHOLE = round_settings(
    fixed={"sizes": (1, (2, 3)), "deep": True}, search_space=SPACE, seed=2**70, sampler="tpe",
    pruner=PercentilePruner(10.0, startup_trials=3), start=({"rate": 0.1, "sizes": (100,)},),
    environment={"python": "3.11"},
)  # fmt: skip


def table(**changes: Any) -> dict[str, Any]:
    """Return settings as the record gives them back, some of them changed."""
    written: dict[str, Any] = json.loads(json.dumps(WHOLE.to_table()))
    return written | changes


def earlier(**changes: Any) -> dict[str, Any]:
    """Return settings as versions before the first format wrote them."""
    old = table(pruner="MedianPruner(startup_trials=5, warmup_epochs=2, interval=1)", **changes)
    del old["format"], old["start"], old["syntax"]
    return old


@given(
    seed=st.integers(0), metric=st.text("ab_ .", min_size=1).filter(lambda t: t.strip(". ") == t),
    pruner=st.sampled_from([None, MedianPruner(2, 3), SuccessiveHalvingPruner(5)]),
    value=st.sampled_from(["last", "best"]), direction=st.sampled_from(["minimize", "maximize"]),
)  # fmt: skip
def test_what_is_written_is_read_as_it_was(**changes: Any) -> None:
    settings = round_settings(search_space=SPACE, **changes)
    assert repr(settings_from(json.loads(json.dumps(settings.to_table())))) == repr(settings)


def test_settings_of_an_earlier_version_are_read() -> None:
    settings = settings_from(earlier())
    assert settings.pruner == MedianPruner(5, 2, 1)
    assert settings.start is None  # it does not say
    assert settings.search_space == SPACE
    assert settings_from(earlier() | {"pruner": "None"}).pruner is None


def test_settings_without_a_digest_of_the_syntax_are_read() -> None:
    old = table(format=1)
    del old["syntax"]
    assert settings_from(old).syntax == ""


def test_those_of_a_later_version_are_left_to_it() -> None:
    with pytest.raises(InputError, match=f"newer version of hpo, in format {FORMAT + 1}.*upgrade"):
        settings_from(table(format=FORMAT + 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metric", 5), ("metric", "../x"), ("direction", "up"), ("value", "mean"), ("seed", "1"),
        ("seed", True), ("sampler", "best"), ("trials", 0), ("parallel", 2.0), ("fixed", []),
        ("fixed", {"x": None}), ("pruner", {"name": "some"}),
        ("pruner", {"name": "median", "x": 1}),
        ("search_space", {"rate": {"low": 2, "high": 1}}), ("search_space", 5), ("start", 5),
        ("start", [{"x": None}]), ("environment", {"python": 3}), ("code", None), ("syntax", None),
    ],
)  # fmt: skip
def test_a_setting_that_is_none_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"its {name!r} cannot be "):
        settings_from(table(**{name: value}))
    broken = table()
    del broken[name]
    with pytest.raises(ValueError, match=f"it has no {name!r}"):
        settings_from(broken)


def test_a_pruner_that_nobody_can_parse_is_none() -> None:
    for text in ("MedianPruner(", "print(1)", "MedianPruner(startup_trials=f())"):
        with pytest.raises((ValueError, LookupError)):
            settings_from(earlier() | {"pruner": text})


def test_a_fingerprint_follows_from_what_is_written() -> None:
    assert fingerprint(WHOLE.to_table()) == fingerprint(table())
    assert fingerprint(table()) != fingerprint(table(seed=1))


def test_a_format_that_is_no_number_is_none() -> None:
    with pytest.raises(TypeError, match=r"^its 'format' cannot be '2'$"):
        settings_from(table(format="2"))


@pytest.mark.parametrize("name", ["trials", "parallel"])
def test_counts_have_their_bounds(name: str) -> None:
    for count in (1, 10**9 - 1):
        assert getattr(settings_from(table(**{name: count})), name) == count
    for count in (0, 10**9, True):
        with pytest.raises(ValueError, match=f"its {name!r} cannot be"):
            settings_from(table(**{name: count}))


def test_a_fingerprint_is_that_of_the_record_whatever_the_order_of_keys() -> None:
    assert fingerprint({"b": 1, "a": [2]}) == fingerprint({"a": [2], "b": 1})
    assert fingerprint({"a": 1}) == "f9d86028c6e0d64e"
    long = table(metric="/" * 100)
    with pytest.raises(ValueError, match=f"its 'metric' cannot be \"{'/' * 59}$"):
        settings_from(long)
