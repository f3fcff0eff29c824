"""The tables of a study file that say how trials run: rounds, budget, packages, resources."""

import string
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, field_validator, model_validator

from hpo.checkpoints.remote import fault, is_address
from hpo.resources import MOST, Demand, parse_bytes, part_fault
from hpo.search.pruning import PRUNERS, Pruner
from hpo.search.samplers import SAMPLERS
from hpo.study_errors import WrongKeyError, key_text, one_of, short_text
from hpo.study_values import STRICT, fill

NOTIFIED = ("event", "study", "message", "metric", "time", "round", "trial", "value")
MOST_PARTS = 1000  # of a trial
MOST_TRIALS = 1_000_000  # of a round: far more than a record holds, and few enough to count to


class RoundSettings(BaseModel):
    """The table [round]: how many trials, chosen and stopped how, how many at once."""

    model_config = STRICT
    trials: int = Field(default=40, ge=1, le=MOST_TRIALS)
    """Number of trials in each round."""
    sampler: str = "tpe"
    """How hyperparameters are chosen: at random, by TPE, from a grid, or from a Sobol sequence."""
    pruner: SkipValidation[Pruner | None] = None
    """What stops poor trials early: a name, or a table with the name and the pruner's settings."""
    parallel: int = Field(default=4, ge=1)
    """Number of trials that run at the same time, at most."""
    trial_timeout: float | None = Field(default=None, gt=0)
    """Seconds after which a trial (or one part of it) is stopped and counts as failed."""
    max_failures: int | None = Field(default=None, ge=1)
    """Number of failed trials a round tolerates before the study stops; by default half of them."""
    fresh_process: bool = False
    """Run each trial in a process of its own."""

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, name: str) -> str:
        return one_of(name, SAMPLERS, "sampler")

    @field_validator("pruner", mode="before")
    @classmethod
    def _make_pruner(cls, given: object) -> Pruner | None:
        table = given if isinstance(given, dict) else {"name": given}
        name = table.get("name")
        if not isinstance(name, str):
            raise ValueError('expected a name, or a table such as { name = "median", … }')
        settings = {key: value for key, value in table.items() if key != "name"}
        if name == "none":
            for key in settings:
                raise WrongKeyError(
                    key_text(key), 'does not apply to the pruner "none"; remove it'
                )
            return None
        return fill(PRUNERS[one_of(name, ["none", *PRUNERS], "pruner")], settings)


class TrialSettings(BaseModel):
    """The table [trial]: how many times each trial is trained, with other seeds or on other folds.

    The value of a trial is the mean.
    """

    model_config = STRICT
    seeds: int | None = Field(default=None, ge=2, le=MOST_PARTS)
    """Train each trial with this many seeds; its value is the mean."""
    folds: int | None = Field(default=None, ge=2, le=MOST_PARTS)
    """Train each trial on this many folds of the training rows; its value is the mean."""

    @model_validator(mode="after")
    def _one_of_both(self) -> "TrialSettings":
        if self.seeds and self.folds:
            raise WrongKeyError("folds", "not allowed together with trial.seeds; remove one of "
                                "the two (each fold has its own seed already)")
        return self

    @property
    def parts(self) -> int:
        """How many trainings a trial consists of."""
        return self.seeds or self.folds or 1


class Budget(BaseModel):
    """The table [budget]: what ends the study before its rounds are full."""

    model_config = STRICT
    hours: float | None = Field(default=None, gt=0)
    """Hours after which `hpo run` starts no more trials."""
    target: float | None = None
    """Value of the metric at which the study ends."""
    patience: int | None = Field(default=None, ge=1)
    """Number of trials in a row without a better one after which the study ends."""


class Resources(BaseModel):
    """The table [resources]: what one trial takes.

    Each CPU is a thread of the linear algebra libraries. `memory` is what a machine has to have
    free for a trial to begin there, and no limit. `custom` are resources of a Ray cluster.
    """

    model_config = STRICT
    cpus: int = Field(default=1, ge=1, le=MOST)
    """CPUs of each trial, and threads of its linear algebra."""
    gpus: float = Field(default=0, ge=0)
    """GPUs of each trial: a share of one, e.g. 0.5, or a whole number."""
    memory: str | None = None
    """Memory that a machine must have free before a trial starts on it."""
    custom: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Custom resources of the Ray cluster that each trial takes."""

    @field_validator("gpus")
    @classmethod
    def _shared_or_whole(cls, gpus: float) -> float:
        if gpus > 1 and not gpus.is_integer():
            raise ValueError(
                f"must be a fraction of one GPU, such as 0.5, or a whole number, got {gpus}"
            )
        if fault := part_fault(gpus):
            raise ValueError(fault)
        return gpus

    @field_validator("memory")
    @classmethod
    def _in_bytes(cls, memory: str | None) -> str | None:
        if memory is not None:
            parse_bytes(memory)
        return memory

    @field_validator("custom")
    @classmethod
    def _not_one_of_ours(cls, custom: dict[str, float]) -> dict[str, float]:
        for name, amount in custom.items():
            key = key_text(name)
            if name.lower() in ("cpu", "gpu", "memory", "object_store_memory"):
                raise WrongKeyError(key, "has its own key: cpus, gpus, or memory; use that")
            if not (name.strip() and name.isascii() and name.isprintable()):
                raise WrongKeyError(
                    key, "not a name that Ray accepts; use the ASCII name that the nodes were "
                    "started with"
                )
            if fault := part_fault(amount):
                raise WrongKeyError(key, fault)
        return custom

    def demand(self) -> Demand:
        """Return what workers are asked for."""
        return Demand(
            self.cpus, self.gpus, parse_bytes(self.memory) if self.memory else 0,
            tuple(sorted(self.custom.items())),
        )


class Environment(BaseModel):
    """The table [environment]: packages that the objective needs, each with its version.

    They have to be installed here. On a cluster Ray installs them beside those of the image.
    """

    model_config = STRICT
    packages: tuple[str, ...] = ()
    """Packages with their versions, which must be installed here and are installed on a cluster."""

    @field_validator("packages", mode="before")
    @classmethod
    def _installed(cls, packages: object) -> tuple[str, ...]:
        from packaging.requirements import InvalidRequirement, Requirement

        if not isinstance(packages, list) or not all(isinstance(one, str) for one in packages):
            raise ValueError(
                f'expected a list of strings "NAME==VERSION", got {short_text(packages)}'
            )
        for text in packages:
            try:
                package = Requirement(text)
            except InvalidRequirement:
                package = None
            operators = [one.operator for one in package.specifier] if package else []
            if package is None or package.url or package.marker or operators != ["=="]:
                raise ValueError(f"{short_text(text)} has no exact version; use the form "
                                 "NAME==VERSION")
            try:
                found = version(package.name)
            except PackageNotFoundError:
                raise ValueError(
                    f"{text} is not installed here; run: pip install {text}"
                ) from None
            if not package.specifier.contains(found, prereleases=True):
                raise ValueError(
                    f"{text} is needed, but {found} is installed here; "
                    f"run: pip install {text}"
                )
        return tuple(packages)


class CheckpointSettings(BaseModel):
    """The table [checkpoints]: that the folders of trials are kept, and where.

    `every` so many seconds, at the end of an epoch; in `storage`, a folder that all workers share,
    or an address of an object store.
    Of the `keep` best trials the folder is kept when they have ended.
    """

    model_config = STRICT
    every: float = Field(default=60.0, ge=0)
    """Seconds between two copies of a trial's folder, at least; copies are made between epochs."""
    keep: int = Field(default=3, ge=0, le=MOST_TRIALS)
    """Number of the best trials whose last copy is kept after they end."""
    storage: str = ""
    """Where copies go: a folder that all workers share, or an address such as s3://bucket/path."""

    @field_validator("storage")
    @classmethod
    def _a_place(cls, storage: str) -> str:
        if is_address(storage) and (wrong := fault(storage)):
            raise ValueError(wrong)
        return storage


class WarmStart(BaseModel):
    """The table [warm_start]: whose trials inform the search, studies and exported tables."""

    model_config = ConfigDict(**{**STRICT, "populate_by_name": False})
    sources: tuple[str, ...] = Field(alias="from", min_length=1)
    """Other studies by name, and exported tables (.csv or .json), that inform the search."""

    @field_validator("sources", mode="before")
    @classmethod
    def _names(cls, names: object) -> tuple[str, ...]:
        if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
            raise ValueError(
                'expected a list of studies and files, for example ["digits", "old.csv"]'
            )
        if len(set(names)) < len(names):
            raise ValueError("lists a source twice; remove one")
        return tuple(names)


class NotifySettings(BaseModel):
    """The table [notify]: a command that is run at events of a study, and at which of them."""

    model_config = STRICT
    command: tuple[str, ...] = Field(min_length=1)
    """The program to run and its arguments, with names in braces that are filled in."""
    on: tuple[Literal["best", "round", "study", "failure"], ...] = (
        "best", "round", "study", "failure",
    )
    """The events to run it at: a new best trial, the end of a round or study, a failed trial."""

    @field_validator("command", "on", mode="before")
    @classmethod
    def _lists(cls, given: object) -> object:
        return tuple(given) if isinstance(given, list) else given

    @field_validator("command")
    @classmethod
    def _known_names(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        for text in command:
            try:
                parsed = list(string.Formatter().parse(text))
            except ValueError as error:
                raise ValueError(
                    f"{short_text(text)}: {error}; write {{{{ for a literal brace"
                ) from None
            for _, name, form, conversion in parsed:
                if name is None:
                    continue
                if form or conversion:
                    raise ValueError(
                        f"{short_text(text)}: use {{{name}}} without a format, or write {{{{ for a "
                        "literal brace"
                    )
                one_of(name, NOTIFIED, "name in braces")
        return command


class ConfirmSettings(BaseModel):
    """The table [confirm]: how many of the best trials are trained again, and how often."""

    model_config = STRICT
    top: int = Field(default=5, ge=1)
    """Number of the best trials to train again."""
    repeats: int = Field(default=3, ge=1)
    """How many times to train each of them, with a new seed each time."""
    resplit: bool = False
    """Split training and validation rows again for each repeat; test rows are never used."""
