"""How much each hyperparameter separates the best trials from the others, measured by Optuna."""

import warnings
from collections.abc import Mapping, Sequence

from hpo.search.optuna_sampler import optuna_distribution, optuna_value
from hpo.search.surface import MINIMUM_TRIALS
from hpo.search_space import SearchSpace, contains
from hpo.trial import Direction, TrialResult, rank


def ped_anova(
    search_spaces: Mapping[int, SearchSpace],
    results: Sequence[TrialResult],
    direction: Direction,
) -> dict[str, float]:
    """Return the share of each hyperparameter; nothing if there are too few complete trials.

    `search_spaces` are the ranges by round: a trial is scored within those it was sampled from.
    The shares add up to 1 (Watanabe et al. 2023, "PED-ANOVA", IJCAI).
    """
    known = [
        result for result in rank(results, direction)
        if contains(search_spaces[result.trial.round], result.trial.hyperparameters)
    ]
    if len(known) < MINIMUM_TRIALS or known[0].value == known[-1].value:
        return {}
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optunas_spaces = {
        number: {name: optuna_distribution(d) for name, d in space.items()}
        for number, space in search_spaces.items()
    }
    study = optuna.create_study(direction=direction)
    study.add_trials([
        create_trial(
            value=result.value,
            params={
                name: optuna_value(d, result.trial.hyperparameters[name])
                for name, d in search_spaces[result.trial.round].items()
                if name in result.trial.hyperparameters
            },
            distributions={
                name: d for name, d in optunas_spaces[result.trial.round].items()
                if name in result.trial.hyperparameters
            },
        )
        for result in sorted(known, key=lambda result: result.trial.id)
    ])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that of few trials it says little
        importances = PedAnovaImportanceEvaluator().evaluate(study)
    total = sum(importances.values())
    return {name: value / total for name, value in importances.items()} if total > 0 else {}
