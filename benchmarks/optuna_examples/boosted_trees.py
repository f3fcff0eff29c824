"""studies/examples/boosted_trees with Optuna, a test set held back and used in the end."""

import lightgbm
import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

inputs, targets = load_breast_cancer(return_X_y=True)
inputs, test_inputs, targets, test_targets = train_test_split(
    inputs, targets, test_size=0.2, random_state=0, stratify=targets
)
training_inputs, validation_inputs, training_targets, validation_targets = train_test_split(
    inputs, targets, test_size=0.2, random_state=0, stratify=targets
)


def settings(learning_rate: float, leaves: int, min_rows: int) -> dict[str, object]:
    return {"objective": "binary", "learning_rate": learning_rate, "num_leaves": leaves,
            "min_data_in_leaf": min_rows, "seed": 0, "verbose": -1}  # fmt: skip


def loss(trial: optuna.Trial) -> float:
    chosen = settings(
        trial.suggest_float("learning_rate", 1e-3, 1e0, log=True),
        trial.suggest_int("leaves", 2, 64, log=True),
        trial.suggest_int("min_rows", 1, 50),
    )
    training = lightgbm.Dataset(training_inputs, training_targets)
    rows = lightgbm.Dataset(validation_inputs, validation_targets, reference=training)
    booster = lightgbm.train(
        chosen, training, 300, [rows],
        callbacks=[lightgbm.early_stopping(30, verbose=False)],
    )
    trial.set_user_attr("trees", booster.best_iteration)
    return booster.best_score["valid_0"]["binary_logloss"]


study = optuna.create_study(
    study_name="boosted_trees",
    storage="sqlite:///optuna.db",
    load_if_exists=True,
    sampler=optuna.samplers.TPESampler(seed=0),
)
study.optimize(loss, n_trials=30)
best = study.best_trial
print(best)
booster = lightgbm.train(
    settings(**best.params), lightgbm.Dataset(inputs, targets), best.user_attrs["trees"]
)
booster.save_model("model.txt")
print(((booster.predict(test_inputs) > 0.5) == test_targets).mean())
