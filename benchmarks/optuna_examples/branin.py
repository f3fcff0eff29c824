"""studies/examples/branin with Optuna."""

from math import cos, pi

import optuna


def branin(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -5, 10)
    y = trial.suggest_float("y", 0, 15)
    parabola = y - 5.1 * x**2 / (4 * pi**2) + 5 * x / pi - 6
    return parabola**2 + 10 * (1 - 1 / (8 * pi)) * cos(x) + 10


study = optuna.create_study(
    study_name="branin",
    storage="sqlite:///optuna.db",
    load_if_exists=True,
    sampler=optuna.samplers.TPESampler(seed=0),
)
study.optimize(branin, n_trials=40)
print(study.best_trial)
