"""Programs as objectives: fill in their arguments, read metrics from their output."""

import json
import math
import os
import re
import shlex
import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

from hpo import objective_code, program_process, stale
from hpo.distributions import Value
from hpo.errors import Infeasible, NotResumed
from hpo.objective import Epochs, Given, Objective, Parameter, Task
from hpo.text import name_fault, one_line, shortened
from hpo.trial import TrialId

TEST = "test_"  # the prefix of test metrics
_SHOWN = 10  # other metrics that an error lists
_SECRETS = ("HPO_", "MLFLOW_", "RAY_")  # prefixes of variables that a program does not inherit


@dataclass(frozen=True)
class Program:
    """The command of a study file: the arguments of a program, with {names} to fill in.

    `metrics_pattern` is a regular expression whose named groups are the metrics on a line, and
    "epoch"; if it is None, metrics are read from lines that are JSON objects.
    """

    command: tuple[str, ...]
    """A program to train with and its arguments, in place of `objective`; {name} is filled in."""
    metrics_pattern: str | None = None
    """A regular expression whose named groups are metrics in the output of the command."""

    def __post_init__(self) -> None:
        if not self.command:
            raise ValueError(
                'command must not be empty; name a program, for example ["python", "train.py"]'
            )
        for argument in self.command:
            try:
                names = [name for _, name, _, _ in string.Formatter().parse(argument)]
            except ValueError as error:
                raise ValueError(
                    f"command has an invalid argument {shortened(argument, 60)!r}: {error}; "
                    "write {{ for a literal brace"
                ) from None
            for name in names:
                if name is not None and not name.isidentifier():
                    raise ValueError(
                        f"command has {{{shortened(name, 60)}}}, which is not the name of a "
                        "hyperparameter; use a name, or write {{ for a literal brace"
                    )
        if self.metrics_pattern is not None:
            try:
                re.compile(self.metrics_pattern)
            except (re.error, RecursionError) as error:
                raise ValueError(
                    f"metrics_pattern is not a valid regular expression: {error}; fix it"
                ) from None
            if not self.metrics:
                raise ValueError(
                    "metrics_pattern names no metric; add a named group such as (?P<loss>\\S+)"
                )

    @property
    def name(self) -> str:
        """The command as typed in a shell."""
        return shlex.join(self.command)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the pattern names."""
        groups = re.compile(self.metrics_pattern or "").groupindex
        return tuple(name for name in groups if name != "epoch")

    def used(self) -> set[str]:
        """Return the names used in the command."""
        parsed = (part for text in self.command for part in string.Formatter().parse(text))
        return {name for _, name, _, _ in parsed if name is not None}

    def objective(self, parameters: Mapping[str, Parameter], folder: Path) -> Objective:
        """Return the program as an objective; `folder` is the folder of the study file."""
        files = partial(self.files, folder)
        stale.remove_stale_bytecode(files().values())
        return Objective(
            name=self.name,
            parameters=parameters,
            asks=frozenset({"seed", "folder"}),
            needs_data=False,
            needs_folder=True,
            metrics=dict.fromkeys(get_args(Task), self.metrics) if self.metrics else None,
            code=objective_code.digest(files()),
            files=files,
            packages=lambda: objective_code.packages_of(files()),
            start=self._start,
            check=lambda values: None,
            evaluate=lambda tested: tested,
        )

    def files(self, folder: Path) -> dict[str, Path]:
        """Return the files next to the study file that the command names, and what they import.

        They are keyed by their path relative to the folder.
        """
        return objective_code.files_of_command(self.command, folder)

    def arguments(self, hyperparameters: Mapping[str, Value]) -> list[str]:
        """Return the command with the hyperparameters filled in.

        An argument that names an absent one is left out, along with the option before it if the
        argument is only the value of that option.
        """
        filled: list[str] = []
        for position, text in enumerate(self.command):
            names = _names_in(text)
            if all(name in hyperparameters for name in names):
                filled.append(text.format_map(_Values(hyperparameters)))
            elif position and text == f"{{{names[0]}}}":
                before = self.command[position - 1]
                if re.fullmatch(r"--?[^={}]+", before):
                    filled.pop()
        return filled

    def _start(self, hyperparameters: Mapping[str, Value], given: Given) -> Epochs:
        texts = {name: as_argument(value) for name, value in hyperparameters.items()}
        arguments = self.arguments(hyperparameters)
        environment = _environment(texts, given)
        lines = program_process.run(arguments, environment, os.getcwd())
        tested: dict[str, float] | None = {} if given.evaluates else None
        try:
            told = _told(self, lines, given, tested)
            yield from _epochs_after(given, told) if given.is_kept else _epochs(told)
        finally:
            lines.close()  # type: ignore[attr-defined]  # it is a generator
        return tested or None


def _names_in(argument: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(argument) if name is not None]


class _Values(dict[str, Any]):
    """Hyperparameters, formatted as arguments."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) \
            else as_argument(value)


def as_argument(value: Value) -> str:
    """Return a hyperparameter as a program gets it: text unchanged, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _environment(hyperparameters: Mapping[str, str], given: Given) -> dict[str, str]:
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(_SECRETS)}
    python = str(Path(sys.executable).parent)  # "python" is the one that hpo is installed for
    return {
        **inherited,
        "PATH": os.pathsep.join(filter(None, (python, inherited.get("PATH")))),
        "PYTHONUNBUFFERED": "1",  # otherwise a piped program reports its epochs only at the end
        "HPO_SEED": str(given.seed),
        "HPO_TRIAL": _named(given.trial),
        "HPO_FOLDER": str(given.folder or ""),
        **({"HPO_EVALUATE": "1"} if given.evaluates else {}),
        **{f"HPO_PARAM_{name.upper()}": text for name, text in hyperparameters.items()},
    }


def _named(trial: TrialId | None) -> str:
    """Return the round and number of a trial, and the part if any, for example 2/17/3."""
    if trial is None:
        return ""
    return f"{trial.round}/{trial.number}" + (f"/{trial.part}" if trial.part else "")


def _told(
    program: Program, lines: Iterator[str], given: Given, tested: dict[str, float] | None = None
) -> Iterator[tuple[int | None, dict[str, float]]]:
    """Yield the epoch, if named, and metrics of each line that reports the study's metric.

    Test metrics go into `tested` if the program is asked for them. Raises Infeasible if the
    program reports that its hyperparameters cannot be trained with.
    """
    pattern = re.compile(program.metrics_pattern) if program.metrics_pattern is not None else None
    metric, other = given.metric, set[str]()
    told = given.done > 0  # or there may be no epoch left to tell
    for line in lines:
        print(line)
        reason = _infeasible(line)
        if reason is not None:
            raise Infeasible(reason)
        found = _json(line) if pattern is None else _matched(pattern, line)
        epoch = found.pop("epoch", None)
        of_test = {} if tested is None else {n: v for n, v in found.items() if n.startswith(TEST)}
        for name in found if metric in found else of_test:
            fault = name_fault(name)
            if fault:
                raise ValueError(
                    f"the metric name {name[:60]!r} of the program cannot be recorded: {fault}"
                )
        if tested is not None:
            tested.update(of_test)
        if metric not in found:
            if len(other) < _SHOWN:
                other |= found.keys()
            continue
        if epoch is not None and not epoch.is_integer():
            raise ValueError(f"the program reports epoch {epoch}; epochs must be whole numbers")
        told = True
        yield None if epoch is None else int(epoch), found
    if not told and tested is None:
        names = [shortened(one_line(name), 60) for name in sorted(other)[:_SHOWN]]
        known = f"; it reports {', '.join(names)}" if names else ""
        how = "JSON object" if pattern is None else "line that metrics_pattern matches"
        raise ValueError(f"the program printed no {how} with {metric!r}{known}")


def _object(line: str) -> dict[str, Any]:
    """Return the JSON object on a line, or an empty one."""
    if not line.lstrip().startswith("{"):
        return {}
    try:
        table: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return table


def _infeasible(line: str) -> str | None:
    """Return the reason a line gives why the hyperparameters cannot be trained with, or None."""
    reason = _object(line).get("infeasible")
    return reason if isinstance(reason, str) else None


def _json(line: str) -> dict[str, float]:
    """Return the numbers in a line that is a JSON object, by name."""
    return {
        name: _as_float(value) for name, value in _object(line).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _matched(pattern: re.Pattern[str], line: str) -> dict[str, float]:
    match = pattern.search(line)
    texts = match.groupdict() if match is not None else {}
    found = {}
    for name, text in texts.items():
        if text is None:
            continue
        try:
            found[name] = float(text)
        except ValueError:
            raise ValueError(
                f"metrics_pattern matches {shortened(text, 60)!r} as {name}, which is not a number"
            ) from None
    return found


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _epochs(told: Iterator[tuple[int | None, dict[str, float]]]) -> Iterator[dict[str, float]]:
    """Yield the metrics of each epoch.

    A line without an epoch number reports the next one. A line that repeats a number replaces the
    earlier one: an epoch is complete as soon as another begins. Epochs count from 0 or 1. Raises
    ValueError if one is missing or out of order.
    """
    held: dict[str, float] | None = None
    last: int | None = None
    named = False
    for epoch, metrics in told:
        if epoch is None and not named:
            yield metrics
            last = 1 if last is None else last + 1
            continue
        number = epoch if epoch is not None else (last or 0) + 1
        if number == last and named:
            held = metrics
            continue
        if last is None and number not in (0, 1):
            raise ValueError(f"the program starts with epoch {number}; count from 0 or 1")
        if last is not None and number != last + 1:
            raise ValueError(
                f"the program jumps from epoch {last} to {number}; report every epoch"
            )
        if held is not None:
            yield held
        held, last, named = metrics, number, True
    if held is not None:
        yield held


def _epochs_after(
    given: Given, told: Iterator[tuple[int | None, dict[str, float]]]
) -> Iterator[dict[str, float]]:
    """Yield the metrics of each epoch as soon as it is reported, after those that are `done`.

    What the program has saved belongs to the last epoch it reported, so each line is an epoch.
    Raises NotResumed if a program that should resume does not, and ValueError if an epoch has no
    number, is missing or out of order. A program with no epoch left to report was further along
    than its copy, unless that copy is of a trial that had ended.
    """
    done = last = given.done
    for epoch, metrics in told:
        if epoch is None:
            raise ValueError(
                "the program reports an epoch without its number; with [checkpoints], each line "
                "needs one, counting from 1"
            )
        if epoch != last + 1:
            if done and last == done:
                raise NotResumed(epoch)
            raise ValueError(
                f"the program jumps from epoch {last} to {epoch}; with [checkpoints], report each "
                "epoch once, counting from 1"
            )
        yield metrics
        last = epoch
    if done and last == done and not given.had_ended:
        raise NotResumed


def parameters_of(
    fixed: Mapping[str, Any], search_space: Mapping[str, Any], start: Sequence[Mapping[str, Any]]
) -> dict[str, Parameter]:
    """Return the hyperparameters of a program, with the types of their values in a study file."""
    found = {
        name: Parameter(Any if isinstance(value, list) else type(value))
        for name, value in fixed.items()
    }
    for name, table in search_space.items():
        if not isinstance(table, Mapping):
            found[name] = Parameter(Any)
            continue
        if "repeat" in table:
            found[name] = Parameter(Any)
            continue
        numbers = [table[key] for key in ("low", "high", "step") if key in table]
        numbers += [point[name] for point in start if name in point]
        kind: Any = int if all(type(number) is int for number in numbers) else float
        found[name] = Parameter(Any if "choices" in table else kind)
    return found
