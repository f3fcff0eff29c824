"""studies/examples/script with Optuna: the script is the same, and runs as a process."""

import re
import subprocess
import sys
from pathlib import Path

import optuna

SCRIPT = Path(__file__).parents[2] / "studies" / "examples" / "script.py"
LINE = re.compile(r"epoch (\d+) validation accuracy (\S+)")


def run(trial: optuna.Trial) -> float:
    learning_rate = trial.suggest_float("learning_rate", 1e-4, 1e1, log=True)
    weight_decay = trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)
    command = [sys.executable, "-u", str(SCRIPT), "--lr", str(learning_rate)]
    command += ["--alpha", str(weight_decay)]
    accuracy = float("nan")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := LINE.search(line):
                    accuracy = float(found[2])
                    trial.report(accuracy, int(found[1]))
                    if trial.should_prune():
                        raise optuna.TrialPruned
        finally:
            process.kill()
    return accuracy


study = optuna.create_study(
    study_name="script",
    storage="sqlite:///optuna.db",
    load_if_exists=True,
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(),
)
study.optimize(run, n_trials=30)
print(study.best_trial)
