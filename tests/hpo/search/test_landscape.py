"""The surface along a hyperparameter is on the scale of the metric, and shows where it is high."""

from collections.abc import Sequence

import numpy as np
import pytest

from hpo.distributions import CategoricalDistribution, FloatDistribution
from hpo.search.landscape import Landscape
from hpo.search_space import SearchSpace
from hpo.trial import Direction, State, Trial, TrialId, TrialResult

SPACE: SearchSpace = {
    "rate": FloatDistribution(1e-6, 1e-2, log=True),
    "kind": CategoricalDistribution(("good", "bad")),
}
FIRST = TrialId(1, 1)


def hill(trials: int, noise: float = 0.0, sign: float = 1.0) -> list[TrialResult]:
    """Return trials of a hill at 1e-4, 0.3 higher for the good kind."""
    generator = np.random.default_rng(0)
    results = []
    for number in range(1, trials + 1):
        rate, kind = 10 ** generator.uniform(-6, -2), ("good", "bad")[number % 2]
        value = 1 - (np.log10(rate) + 4) ** 2 / 4 + 0.3 * (kind == "good")
        value = sign * (float(value) + float(generator.normal(0, noise)))
        trial = Trial(1, number, {"rate": rate, "kind": kind}, number)
        results.append(TrialResult(trial, State.COMPLETE, value, 1, [{"value": value}]))
    return results


def landscape(
    results: Sequence[TrialResult],
    repeats: Sequence[TrialResult] = (),
    direction: Direction = "maximize",
) -> Landscape:
    found = Landscape.of(SPACE, results, repeats, direction)
    assert found is not None
    return found


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_best_value_of_a_slice_is_that_of_the_hill(sign: float) -> None:
    results = hill(60, sign=sign)
    found = landscape(results, direction="maximize" if sign > 0 else "minimize")
    rates = np.geomspace(1e-6, 1e-2, 41).tolist()
    line = found.along("rate", rates, FIRST)
    assert 3e-5 < rates[int((sign * line.mean).argmax())] < 3e-4
    assert np.all(line.low <= line.mean)
    assert np.all(line.mean <= line.high)
    values = sign * np.array([r.value for r in results])
    assert values.min() <= (sign * line.mean).min()
    assert (sign * line.mean).max() <= values.max()
    good, bad = sign * found.along("kind", ["good", "bad"], FIRST).mean
    assert good > bad


def test_where_values_are_exact_the_slice_goes_through_its_trial() -> None:
    results = hill(60)
    found = landscape(results)
    for result in results[:10]:
        rate = result.trial.hyperparameters["rate"]
        line = found.along("rate", [rate], result.trial.id)
        assert abs(line.mean[0] - (result.value or 0)) < 0.15


def test_the_band_is_wider_where_values_are_noisy() -> None:
    rates = np.geomspace(1e-6, 1e-2, 9).tolist()
    exact, noisy = (landscape(hill(60, noise)).along("rate", rates, FIRST) for noise in (0, 0.4))
    assert np.mean(noisy.high - noisy.low) > 2 * np.mean(exact.high - exact.low)


def test_a_confirmed_trial_stands_at_its_mean() -> None:
    results = hill(30)
    original = results[0].trial
    again = Trial(1, 1, original.hyperparameters, 7, repeat=1)
    repeats = [TrialResult(again, State.COMPLETE, 9.0, 1, [{"value": 9.0}])]
    assert landscape(results, repeats).levels[-1][1] == 9.0
    assert landscape(results).levels[-1][1] < 9.0


def test_few_or_equal_or_incomplete_trials_make_no_surface() -> None:
    equal = [TrialResult(r.trial, State.COMPLETE, 1.0, 1, [{"value": 1.0}]) for r in hill(20)]
    diverged = [TrialResult(r.trial, State.DIVERGED) for r in hill(20)]
    for results in (hill(9), equal, diverged, []):
        assert Landscape.of(SPACE, results, (), "maximize") is None
