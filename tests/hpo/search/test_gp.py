"""The Gaussian process of Optuna as a sampler: the same promises as the others keep."""

import random

import pytest

from hpo.distributions import FloatDistribution, Value
from hpo.errors import InputError
from hpo.search import gp
from hpo.search.samplers import refuse_absent
from hpo.search_space import contains
from hpo.trial import State, TrialResult
from tests.fixtures import Make, hpo
from tests.hpo.search.sampling import MIXED, judged, plan, quality, result, search
from tests.hpo.search.test_tpe_order import EARLIER, lengths, window

TRIALS = 24
needs_torch = pytest.mark.skipif(not gp.is_installed(), reason="PyTorch is not installed")


@pytest.mark.skipif(gp.is_installed(), reason="PyTorch is installed")
def test_without_pytorch_it_is_said_what_to_do(make_study: Make) -> None:
    file = make_study(round={"sampler": "gp"})
    for command in (("run", file, "--inline"), ("check", file, "--try")):
        with pytest.raises(InputError) as caught:
            hpo(*command)
        assert str(caught.value) == (
            f'{file}: round.sampler: "gp" needs PyTorch, which is not installed; install it with '
            "pip install torch, or choose another sampler"
        )
    refuse_absent("tpe", file)


@needs_torch
@pytest.mark.parametrize("earlier", [(), EARLIER])
def test_it_does_not_depend_on_when_trials_end(earlier: list[TrialResult]) -> None:
    given = plan(MIXED, TRIALS, earlier=earlier)
    expected, _ = window(given, 4, lambda number: 1.0, name="gp")
    assert len({repr(p) for p in expected.values()}) > TRIALS // 2
    assert window(given, 4, lengths(0), name="gp")[0] == expected
    _, kept = window(given, 4, lengths(1), stop_at=1.7, name="gp")
    assert 0 < len(kept) < TRIALS
    assert window(given, 4, lengths(2), known=kept, name="gp")[0] == expected
    assert window(given, 1, lambda number: 1.0, name="gp")[0] != expected


@needs_torch
def test_it_finds_more_than_random_search() -> None:
    found = {}
    for name in ("gp", "random"):
        best = [
            max(map(quality, search(
                name, plan(MIXED, 30, study_seed=seed),
                lambda n, p: result(n, p, value=quality(p)),
            )))
            for seed in range(3)
        ]
        found[name] = sum(best)
    assert found["gp"] > found["random"]


@needs_torch
@pytest.mark.parametrize("state", [State.DIVERGED, State.PRUNED])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_diverged_or_was_cut_short_repels(state: State, direction: str) -> None:
    space = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
    sign = 1 if direction == "maximize" else -1

    def judge(number: int, values: dict[str, Value]) -> TrialResult:
        x = float(values["x"])  # type: ignore[arg-type]
        return (
            result(number, values, state, sign * -9.0) if x > 0.5
            else result(number, values, value=sign * x)
        )

    proposals = search("gp", plan(space, 40, direction=direction), judge)
    beyond = [float(p["x"]) > 0.5 for p in proposals]  # type: ignore[arg-type]
    assert sum(beyond[20:]) < sum(beyond[:20])
    assert sum(beyond[20:]) <= 10
    assert max(float(p["x"]) for p in proposals if p["x"] <= 0.5) > 0.4  # type: ignore


@needs_torch
def test_infeasible_points_are_never_proposed() -> None:
    def accepts(values: object) -> bool:
        return random.Random(repr(values)).random() < 0.5

    for proposal in search("gp", plan(MIXED, 20, accepts=accepts), judged):
        assert accepts(proposal)
        assert contains(MIXED, proposal)
