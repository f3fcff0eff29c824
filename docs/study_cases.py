"""For each key of a study file an example, and a wrong value to show the error of."""

from dataclasses import dataclass

# The page starts with it, and the examples and the wrong values below are put into it.
EXAMPLE = """\
name = "digits"                                # of the MLflow experiment
objective = "trainer.objectives:perceptron"    # package.module:function
metric = "validation_accuracy"
direction = "maximize"
seed = 0
rounds = 2

[data]                        # leave it out if the objective reads its own data
source = "digits"             # or a file, a folder, an address, "sklearn:wine", "openml:NAME"
validation = 0.2              # of the training rows
# target = "quality"          # the column with the labels, for tables
# drop = ["id"]               # columns to leave out
# test = 0.2                  # held out if the source has no test set
# missing = ["?"]             # marks of a missing value
# impute = "median"           # or "most_frequent", "drop_rows"

[fixed]
batch_size = 100
epochs = 50

[search_space]
learning_rate = { low = 1e-6, high = 1e-2, log = true }
weight_decay = { low = 1e-8, high = 1e-4, log = true, limits = [1e-12, 1.0] }
hidden_sizes = { choices = [[50], [100], [100, 100]] }
optimizer = { choices = ["sgd", "adam"] }
# momentum = { low = 0.0, high = 0.99, when = { optimizer = "sgd" } }

[round]
trials = 40
sampler = "tpe"               # or "random", "grid", "qmc"
pruner = "none"               # or "median", "percentile", "successive_halving"
parallel = 4                  # trials at the same time, at most
# trial_timeout = 600         # seconds
# max_failures = 5            # then the study stops

[[start]]                     # a point to try first
learning_rate = 1e-3

# [trial]                     # each trial is a mean
# seeds = 3                   # or folds = 5

# [budget]                    # what ends the study early
# hours = 2
# target = 0.99
# patience = 50

# [resources]                 # of one trial
# cpus = 1
# gpus = 0.5
# memory = "4GB"

# [checkpoints]               # interrupted trials resume
# every = 60                  # seconds

# [warm_start]                # whose trials inform the search
# from = ["other-study", "old.csv"]

# [confirm]                   # defaults of `hpo confirm`
# top = 5
# repeats = 3

# [notify]                    # run a command when something happens
# command = ["notify-send", "{study}", "{message}"]
# on = ["best", "study"]
"""
# The same with a program in place of an objective.
PROGRAM = """\
command = ["python", "../studies/examples/script.py", "--lr={learning_rate}"]
metric = "validation_accuracy"
direction = "maximize"

[search_space]
learning_rate = { low = 1e-6, high = 1e-2, log = true }
"""


@dataclass(frozen=True)
class Case:
    """Lines of a table of a study file that are right, and lines that are wrong.

    `base` is the file that they are put into.
    """

    example: str
    wrong: str
    base: str = EXAMPLE


_WITHOUT_SHARE = EXAMPLE.replace("validation = 0.2", "# validation")
_NOTIFYING = f'{EXAMPLE}[notify]\ncommand = ["true"]\n'
_RATE = "learning_rate = { low = 1e-4, high = 1e-1"
CASES = {
    "name": Case('name = "digits"', 'name = ""'),
    "objective": Case(
        'objective = "trainer.objectives:perceptron"', 'objective = "trainer.objectives"'
    ),
    "command": Case(
        'command = ["python", "train.py", "--lr={learning_rate}"]',
        'command = ["python", "train.py", "--lr={rate}"]', PROGRAM,
    ),
    "metrics_pattern": Case(
        r"metrics_pattern = 'accuracy (?P<validation_accuracy>\S+)'",
        r"metrics_pattern = 'accuracy \S+'", PROGRAM,
    ),
    "metric": Case('metric = "validation_accuracy"', 'metric = "validation_acuracy"'),
    "direction": Case('direction = "maximize"', 'direction = "max"'),
    "value": Case('value = "best"', 'value = "first"'),
    "seed": Case("seed = 1", "seed = -1"),
    "rounds": Case("rounds = 3", "rounds = 0"),
    "constraints": Case(
        'constraints = ["batch_size <= 100 * epochs"]', 'constraints = ["batch_size * epochs"]'
    ),
    "data.source": Case('source = "sklearn:wine"', "source = 3"),
    "data.validation": Case("validation = 0.1", 'validation = "10 %"'),
    "data.test": Case("test = 0.25", "test = true"),
    "data.target": Case('target = "quality"', "target = 11"),
    "data.drop": Case('drop = ["id"]', 'drop = "id"'),
    "data.task": Case('task = "classification"', 'task = "ranking"'),
    "data.rows": Case("rows = 500", "rows = 0.5"),
    "data.scale": Case('scale = "standard"', 'scale = "minmax"'),
    "data.missing": Case('missing = ["?", "-999"]', "missing = [-999]"),
    "data.decimal": Case('decimal = ","', 'decimal = ";"'),
    "data.thousands": Case('thousands = ","', 'thousands = "_"'),
    "data.units": Case('units = ["$", "kg"]', 'units = ["m2"]'),
    "data.categories": Case('categories = ["zip"]', 'categories = "zip"'),
    "data.impute": Case('impute = "median"', 'impute = "mean"'),
    "data.shape": Case("shape = [28, 28]", "shape = [0]"),
    "data.files": Case('files = ["train.csv", "images/"]', 'files = "train.csv"'),
    "[fixed].NAME": Case("batch_size = 50", "batch_sise = 50"),
    "[search_space].low": Case(f"{_RATE} }}", "learning_rate = { low = 1e-1, high = 1e-4 }"),
    "[search_space].high": Case(f"{_RATE} }}", "learning_rate = { low = 1e-4 }"),
    "[search_space].log": Case(
        f"{_RATE}, log = true }}", "learning_rate = { low = 0, high = 0.1, log = true }"
    ),
    "[search_space].step": Case(
        "dropout_rate = { low = 0.0, high = 0.5, step = 0.1 }",
        "dropout_rate = { low = 0.0, high = 0.5, step = 0.2 }",
    ),
    "[search_space].limits": Case(
        f"{_RATE}, limits = [1e-6, 1.0] }}", f"{_RATE}, limits = [1e-2, 1.0] }}"
    ),
    "[search_space].choices": Case(
        'optimizer = { choices = ["sgd", "adam"] }', 'optimizer = { choices = ["sgd", "sgd"] }'
    ),
    "[search_space].ordered": Case(
        "hidden_sizes = { choices = [[50], [100], [200]], ordered = true }",
        'hidden_sizes = { choices = [[50], [100], [200]], ordered = "yes" }',
    ),
    "[search_space].when": Case(
        'momentum = { low = 0.0, high = 0.99, when = { optimizer = "sgd" } }',
        'momentum = { low = 0.0, high = 0.99, when = { optimizer = "sdg" } }',
    ),
    "[search_space].repeat": Case(
        "layers = { low = 1, high = 4 }\n"
        'hidden_sizes = { low = 16, high = 128, repeat = "layers" }',
        'hidden_sizes = { low = 16, high = 128, repeat = "optimizer" }',
    ),
    "[search_space].backfill": Case(
        f"{_RATE}, backfill = 0.01 }}", f"{_RATE}, backfill = 0.5 }}"
    ),
    "[constraint_metrics].at_least": Case(
        "training_accuracy = { at_least = 0.8 }",
        "training_accuracy = { at_least = 0.9, at_most = 0.8 }",
    ),
    "[constraint_metrics].at_most": Case(
        "validation_loss = { at_most = 1.5 }", "validation_loss = {}"
    ),
    "round.trials": Case("trials = 80", "trials = 0"),
    "round.sampler": Case('sampler = "random"', 'sampler = "bayes"'),
    "round.pruner": Case('pruner = "median"', 'pruner = "medain"'),
    "round.parallel": Case("parallel = 8", "parallel = 2.5"),
    "round.trial_timeout": Case("trial_timeout = 600", "trial_timeout = 0"),
    "round.max_failures": Case("max_failures = 5", "max_failures = 0"),
    "round.fresh_process": Case("fresh_process = true", "fresh_process = 1"),
    **{
        f"round.pruner {pruner}.{key}": Case(
            f'pruner = {{ name = "{pruner}", {key} = {right} }}',
            f'pruner = {{ name = "{pruner}", {key} = {wrong} }}',
        )
        for pruner, key, right, wrong in (
            ("median", "startup_trials", 10, -1), ("median", "warmup_epochs", 3, -1),
            ("median", "interval", 2, 0), ("percentile", "percentile", 50.0, 101.0),
            ("percentile", "startup_trials", 10, 1.5), ("percentile", "warmup_epochs", 3, -1),
            ("percentile", "interval", 2, 0), ("successive_halving", "min_resource", 5, 0),
            ("successive_halving", "reduction_factor", 3, 1),
        )
    },
    "trial.seeds": Case("seeds = 3", "seeds = 1"),
    "trial.folds": Case("folds = 5", "folds = 1", _WITHOUT_SHARE),
    "[[start]].NAME": Case("learning_rate = 1e-3", "learning_rate = 0.5"),
    "warm_start.from": Case('from = ["other-study", "old.csv"]', 'from = "other-study"'),
    "budget.hours": Case("hours = 1.5", "hours = 0"),
    "budget.target": Case("target = 0.99", "target = nan"),
    "budget.patience": Case("patience = 50", "patience = 0"),
    "resources.cpus": Case("cpus = 2", "cpus = 0.5"),
    "resources.gpus": Case("gpus = 0.5", "gpus = 1.5"),
    "resources.memory": Case('memory = "4GB"', 'memory = "4 gigs"'),
    "resources.custom": Case("custom = { tpu = 1 }", "custom = { GPU = 1 }"),
    "checkpoints.every": Case("every = 300", "every = -1"),
    "checkpoints.keep": Case("keep = 1", "keep = true"),
    "checkpoints.storage": Case('storage = "/mnt/shared/checkpoints"', "storage = 3"),
    "confirm.top": Case("top = 3", "top = 0"),
    "confirm.repeats": Case("repeats = 5", "repeats = 0"),
    "confirm.resplit": Case("resplit = true", 'resplit = "yes"'),
    "environment.packages": Case('packages = ["numpy==2.*"]', 'packages = ["numpy"]'),
    "notify.command": Case(
        'command = ["notify-send", "{study}", "{message}"]', 'command = ["notify-send", "{text}"]'
    ),
    "notify.on": Case('on = ["best", "study"]', 'on = ["end"]', _NOTIFYING),
}
