"""The keys of a study file, each with its type, its default and what it does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, SkipValidation

from hpo.constraints import Constraint
from hpo.data.settings import DataSettings
from hpo.objective import Objective
from hpo.program import Program
from hpo.study_tables import (
    Budget,
    CheckpointSettings,
    ConfirmSettings,
    Environment,
    NotifySettings,
    Resources,
    RoundSettings,
    TrialSettings,
    WarmStart,
)
from hpo.study_values import STRICT
from hpo.trial import Direction, Limit

# Fields of a study that are not keys of its file.
RESERVED = ("path", "text", "overrides", "program", "data_files")


class StudyFields(BaseModel):
    """What a study file may set. `hpo.study` checks each field, and the fields against each other.

    They are checked in this order: the environment first, because finding the objective imports
    packages.
    """

    model_config = STRICT
    path: Path
    """Where the file is."""
    text: str = Field(repr=False)
    """What is in the file."""
    overrides: tuple[str, ...] = ()
    """What replaces values of the text, e.g. "round.trials=20"."""
    name: str = ""
    """Name of the study and of its MLflow experiment; by default, the name of the file."""
    environment: Environment = Environment()
    """Packages that the objective needs."""
    objective: SkipValidation[Objective]
    """The function that trains: "package.module:name", next to the study file or installed."""
    program: SkipValidation[Program | None] = None
    """The program that the objective runs, if it is one."""
    metric: str
    """The metric that the search improves, as the objective reports it."""
    direction: Direction
    """Whether a small or a large value of the metric is better."""
    constraint_metrics: SkipValidation[Mapping[str, Limit]] = Field(default_factory=dict)
    """Limits on other metrics; a trial that breaks one is infeasible and ranks last."""
    value: Literal["last", "best"] = "last"
    """The value of a trial: the metric at its last epoch, or at its best."""
    seed: int = Field(default=0, ge=0)
    """Seed of the study; the same file and seed give the same trials."""
    rounds: int = Field(default=1, ge=1)
    """Number of rounds in total; the ranges move between them."""
    trial: TrialSettings = TrialSettings()
    """What one trial consists of."""
    data: SkipValidation[DataSettings | None] = None
    """The data that hpo loads, splits, and gives to the objective."""
    data_files: tuple[str, ...] = ()
    """Files that the objective reads by itself."""
    fixed: dict[str, Any] = Field(default_factory=dict)
    """Hyperparameters that keep one value."""
    search_space: dict[str, Any]
    """The range or the choices of each hyperparameter that is searched."""
    constraints: SkipValidation[tuple[Constraint, ...]] = ()
    """Comparisons between hyperparameters that every trial must meet."""
    round: RoundSettings = RoundSettings()
    """How the trials of a round are chosen, stopped, and run."""
    start: tuple[dict[str, Any], ...] = ()
    """Points to try first; what a point leaves out is sampled."""
    warm_start: WarmStart | None = None
    """Other studies whose trials inform this search."""
    budget: Budget = Budget()
    """What ends the study early."""
    resources: Resources = Resources()
    """What one trial needs from a machine."""
    checkpoints: CheckpointSettings | None = None
    """Keep the folders of trials, so that interrupted trials resume."""
    confirm: ConfirmSettings | None = None
    """What `hpo confirm` does unless its options say otherwise."""
    notify: NotifySettings | None = None
    """Run a command when something happens."""
