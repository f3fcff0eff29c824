"""How much of the order of the trials is noise: told from the trials alone."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from hpo.search.surface import MINIMUM_TRIALS, noise_share
from hpo.search_space import FloatDistribution, SearchSpace, point
from hpo.trial import State, Trial, TrialResult

SPACE: SearchSpace = {
    "rate": FloatDistribution(1e-6, 1e-2, log=True),
    "momentum": FloatDistribution(0.0, 0.9),
}


def trials(share: float, seed: int, count: int = 60) -> list[TrialResult]:
    """Return random trials of a hill; `share` of the variance of their values is noise."""
    generator = np.random.default_rng(seed)
    units = generator.random((count, 2))
    heights = -((units[:, 0] - 0.4) ** 2) - 0.5 * (units[:, 1] - 0.7) ** 2
    noise = generator.normal(size=count)
    values = math.sqrt(1 - share) * heights / heights.std() + math.sqrt(share) * noise
    return [
        TrialResult(
            Trial(1, i, point(SPACE, dict(zip(SPACE, unit, strict=True))), seed=0),
            State.COMPLETE,
            float(value),
        )
        for i, (unit, value) in enumerate(zip(units.tolist(), values, strict=True), start=1)
    ]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_share_of_noise_is_found(share: float) -> None:
    found = [noise_share(SPACE, trials(share, seed), "maximize") for seed in range(10)]
    assert np.median(found) == pytest.approx(share, abs=0.12)


def test_only_the_order_of_the_values_counts() -> None:
    some = trials(0.25, 0)
    share = noise_share(SPACE, some, "maximize")
    stretched = [replace(r, value=-math.exp(3 * (r.value or 0.0))) for r in some]
    random.Random(0).shuffle(stretched)
    assert noise_share(SPACE, stretched, "minimize") == pytest.approx(share, rel=1e-6)


def test_trials_outside_the_ranges_count() -> None:
    elsewhere = {**SPACE, "rate": FloatDistribution(0.1, 1.0, log=True)}
    assert noise_share(elsewhere, trials(0.0, 0), "maximize") < 0.1


def test_too_few_trials_tell_nothing() -> None:
    few = trials(0.25, 0, MINIMUM_TRIALS - 1)
    failed = replace(few[0], state=State.FAILED, value=None)
    assert math.isnan(noise_share(SPACE, [*few, failed], "maximize"))
    equal = [replace(r, value=1.0) for r in trials(0.25, 0)]
    assert math.isnan(noise_share(SPACE, equal, "maximize"))
