"""PED-ANOVA is Optuna's own, over the ranges of each round."""

import math
from dataclasses import replace

import optuna
import pytest
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from hpo.distributions import CategoricalDistribution, FloatDistribution
from hpo.search.ped_anova import ped_anova
from hpo.search_space import SearchSpace
from hpo.trial import Direction, State
from tests.hpo.search.test_landscape import SPACE, hill


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_one_round_it_is_what_optuna_says(direction: Direction) -> None:
    results = hill(60)
    study = optuna.create_study(direction=direction)
    for result in results:
        study.add_trial(optuna.trial.create_trial(
            value=result.value, params=dict(result.trial.hyperparameters),
            distributions={
                "rate": optuna.distributions.FloatDistribution(1e-6, 1e-2, log=True),
                "kind": optuna.distributions.CategoricalDistribution(["good", "bad"]),
            },
        ))
    theirs = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    ours = ped_anova({1: SPACE}, results, direction)
    assert ours.keys() == theirs.keys()
    assert all(math.isclose(ours[name], theirs[name], abs_tol=1e-9) for name in ours)
    assert ours["rate"] > ours["kind"]


def test_each_trial_is_judged_within_the_ranges_of_its_round(
    recwarn: pytest.WarningsRecorder,
) -> None:
    narrow: SearchSpace = {
        "rate": FloatDistribution(1e-5, 1e-3, log=True),
        "kind": CategoricalDistribution(("good", "bad")),
    }
    second = [replace(r, trial=replace(r.trial, round=2)) for r in hill(60)]
    found = ped_anova({1: SPACE, 2: narrow}, [*hill(60), *second], "maximize")
    assert math.isclose(sum(found.values()), 1.0)
    assert not recwarn.list


def test_of_few_or_equal_trials_it_says_nothing() -> None:
    equal = [replace(result, value=1.0) for result in hill(30)]
    pruned = [replace(result, state=State.PRUNED) for result in hill(30)]
    for results in (hill(9), equal, pruned, []):
        assert ped_anova({1: SPACE}, results, "maximize") == {}
