"""studies/examples/support_vectors with Optuna."""

import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def accuracy(trial: optuna.Trial) -> float:
    C = trial.suggest_float("C", 1e-2, 1e3, log=True)
    gamma = trial.suggest_float("gamma", 1e-5, 1e0, log=True)
    inputs, targets = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), SVC(C=C, gamma=gamma))
    return cross_val_score(model, inputs, targets, cv=5).mean()


study = optuna.create_study(
    study_name="support_vectors",
    storage="sqlite:///optuna.db",
    load_if_exists=True,
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
)
study.optimize(accuracy, n_trials=30)
print(study.best_trial)
