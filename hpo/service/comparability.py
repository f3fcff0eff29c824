"""Which settings must stay the same so that the trials of a study are comparable."""

import importlib.metadata
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hpo.data import own_files
from hpo.data.loading import Description
from hpo.distributions import Value, describe
from hpo.errors import InputError
from hpo.objective import Objective
from hpo.objective_code import known_as
from hpo.record.values import AcceptedCode, Recorded, Round
from hpo.search import pruning
from hpo.settings import Settings
from hpo.study import StudyFile
from hpo.threads import blas


def settings_of(study: StudyFile, data: Description | None) -> Settings:
    """Return the settings with which a round of this study, on this data, begins."""
    return Settings(
        objective=study.objective.name,
        code=study.objective.code.digest,
        syntax=study.objective.code.syntax,
        data=data_digest(study, data),
        fixed=dict(sorted(study.fixed.items())),
        metric=study.metric,
        direction=study.direction,
        value=study.value,
        seed=study.seed,
        sampler=study.round.sampler,
        pruner=study.round.pruner,
        parallel=study.round.parallel,
        trials=study.round.trials,
        search_space=dict(study.search_space),
        start=tuple(map(dict, study.start)),
        limits=study.constraint_metrics,
        constraints=tuple(constraint.text for constraint in study.constraints),
        seeds=study.trial.seeds or 1,
        folds=study.trial.folds or 0,
        environment=_environment(study.objective),
    )


def file_digests(study: StudyFile) -> dict[str, str]:
    """Return the digests of the files that the objective reads itself, by name."""
    if not study.data_files:
        return {}
    known = Path(os.environ.get("HPO_OUTBOX", ".hpo")) / "digests.json"
    try:
        return own_files.digests(study.data_files, study.path.absolute().parent, known)
    except InputError as error:
        raise InputError(f"{study.path}: {error}") from error


def data_digest(study: StudyFile, data: Description | None) -> str:
    """Return the digest of all data of a study: split by hpo, and read by the objective."""
    digest = data.digest if data is not None else ""
    files = file_digests(study)
    return own_files.total({**files, "": digest}) if files else digest


CODE = "the code of the objective"
_SEARCHED = "the set of searched hyperparameters"
# What has to be as it was, so that trials can be compared, and what a person calls it.
_COMPARABLE = {
    "objective": "the objective",
    "code": CODE,
    "data": "the data or its split",
    "fixed": "[fixed]",
    "metric": "metric",
    "direction": "direction",
    "value": "value",
    "limits": "[constraint_metrics]",
    "seed": "seed",
    "seeds": "trial.seeds",
    "folds": "trial.folds",
}


def refuse_changes(
    study: StudyFile,
    round_: Round,
    data: Description | None,
    note: Callable[[str], None],
    *,
    accept_code: bool = False,
    next_round: bool = False,
) -> None:
    """Raise InputError if new trials would not be comparable with the recorded ones.

    With `accept_code`, the code may differ. If all new trials belong to a `next_round`, it may
    search more than before. Changes that only affect the last digits are noted.
    """
    changed = _changes(study, round_, data)
    remedy = "change it back, or give the study another name"
    added = sorted(study.search_space.keys() - round_.search_space.keys())
    if changed == [_SEARCHED] and added and not (
        round_.search_space.keys() - study.search_space.keys()
    ):
        remedy = (f"set search_space.{added[0]}.backfill to the value that the earlier trials had, "
                  "or give the study another name")
    if changed == [CODE]:
        remedy = ("change it back, accept it with --accept-code (run, confirm, extend, or "
                  "evaluate), or give the study another name")
    if accept_code:
        changed = [what for what in changed if what != CODE]
    if changed:
        raise InputError(
            f"{study.path}: {' and '.join(changed)} changed since round {round_.number}, so its "
            f"trials cannot be compared; {remedy}"
        )
    new = new_names(study, round_)
    if new and not next_round:
        raise InputError(
            f"{study.path}: search_space.{new[0]}: is new, and the trials of round "
            f"{round_.number} do not have it; start a new round with --rounds {round_.number + 1}, "
            "or remove it for now"
        )
    for name in new:
        had = round_.settings.fixed.get(name)
        if had is not None and had != study.search_space[name].backfill:
            raise InputError(
                f"{study.path}: search_space.{name}.backfill: the earlier trials had {had!r}, from "
                "[fixed]; use that value"
            )
    now = _environment(study.objective)
    for name, before in round_.settings.environment.items():
        if now.get(name) != before:
            note(
                f"{name} is {now.get(name, 'missing')}, but was {before} in round {round_.number}; "
                "results may differ in the last digits"
            )


def incomparable(study: StudyFile, round_: Round, data: Description | None) -> str:
    """Return what changed in the study since a round and makes trials incomparable, or ""."""
    return " and ".join(_changes(study, round_, data))


def is_comparable(study: StudyFile, round_: Round, data: Description | None) -> bool:
    """Return whether trials of another study's round have values on the same scale as this study's.

    They have the same objective, code and data, and anything this study does not search was fixed
    to the same value. The seed may differ.
    """
    now, before = _known(settings_of(study, data)), _known(round_.settings)
    if new_code(study, round_) is None:
        before = replace(before, code=now.code)
    same = _COMPARABLE.keys() - {"seed", "fixed"}
    return (
        all(getattr(now, name) == getattr(before, name) for name in same)
        and now.fixed.items() <= before.fixed.items()
        and before.search_space.keys() <= now.search_space.keys()
        and before.fixed.keys() <= now.fixed.keys() | now.search_space.keys()
    )


def _changes(study: StudyFile, round_: Round, data: Description | None) -> list[str]:
    now, before = _known(settings_of(study, data)), _known(round_.settings)
    if new_code(study, round_) is None:
        before = replace(before, code=now.code)
    new = new_names(study, round_)
    before = replace(before, fixed={n: v for n, v in before.fixed.items() if n not in new})
    changed = [
        text for name, text in _COMPARABLE.items() if getattr(now, name) != getattr(before, name)
    ]
    if now.search_space.keys() - set(new) != before.search_space.keys():
        changed.append(_SEARCHED)
    return changed


def _known(settings: Settings) -> Settings:
    """Return settings in which the name of the objective does not depend on its code."""
    return replace(settings, objective=known_as(settings.objective))


def new_names(study: StudyFile, round_: Round) -> list[str]:
    """Return the newly searched names, for which `backfill` says what a round's trials had."""
    return [
        name for name, d in study.search_space.items()
        if name not in round_.search_space and d.backfill is not None
    ]


def new_code(study: StudyFile, round_: Round) -> AcceptedCode | None:
    """Return the code of the objective if a round's trials had different code, else None."""
    now, (code, syntax) = study.objective.code, round_.code
    if now.digest == code or now.syntax == syntax:  # one of the two is enough
        return None
    return AcceptedCode(now.digest, now.syntax, since=round_.number)


def grows(study: StudyFile, last: Round, trials: int) -> bool:
    """Return whether the last round, which ended with this many `trials`, should get more.

    Earlier rounds never do: later rounds followed from the trials they had. The points of a grid
    depend on their number.
    """
    began = last.settings
    return began.sampler != "grid" and study.round.trials > max(trials, began.trials)


def edits(study: StudyFile, rounds: Sequence[Round], goal: int, trials: int = 0) -> list[str]:
    """Return what edits to the study file do, given these rounds: one line for each.

    A round continues with what it began with, except for its number of trials. `goal` is the number
    of rounds wanted, `trials` the number of trials of the last one.
    """
    last, began = rounds[-1], rounds[-1].settings
    number = last.number + 1

    def said(what: str, now: object, before: object) -> str:
        if not last.ended:
            return (f"{what} = {now}: round {last.number} started with {before} and keeps it; "
                    f"{now} applies to later rounds")
        if goal < number:
            return f"{what} = {now}: applies to the next round, which --rounds {number} starts"
        return f"{what} = {now} from round {number} on; round {last.number} had {before}"

    lines = []
    for key in ("sampler", "parallel", "trials"):
        now, before = getattr(study.round, key), getattr(began, key)
        if now == before:
            continue
        if key == "trials" and last.ended and goal < number and before < now <= trials:
            continue  # it has them
        goes_on = not last.ended and began.sampler != "grid"
        if key == "trials" and (goes_on or (goal == last.number and grows(study, last, trials))):
            lines.append(f"[round] trials = {now}: round {last.number} continues to {now}; it "
                         f"started with {before}")
            continue
        lines.append(said(f"[round] {key}", now, before))
    if study.round.pruner != began.pruner:
        pruners = study.round.pruner, began.pruner
        lines.append(said("[round] pruner", *map(pruning.describe, pruners)))
    texts = [constraint.text for constraint in study.constraints]
    if texts != list(began.constraints):
        lines.append(said("constraints", texts, list(began.constraints)))
    for name in new_names(study, last):
        d = study.search_space[name]
        when = f"from round {number} on"
        if goal < number:
            when = f"in the next round, which --rounds {number} starts"
        earlier = f"earlier trials count as having {d.backfill}"
        if d.backfill is not None and not d.contains(d.backfill):
            earlier = f"earlier trials had {d.backfill}, outside it, so proposals ignore them"
        lines.append(f"[search_space] {name}: {describe(d)}, {when}; {earlier}")
    for name, distribution in study.search_space.items():
        if distribution == began.search_space.get(name, distribution):
            continue
        if not last.ended or goal < number:
            ranges = describe(distribution), describe(last.search_space[name])
            lines.append(said(f"[search_space] {name}", *ranges))
    return lines


def new_points(study: StudyFile, recorded: Recorded) -> list[Mapping[str, Value]]:
    """Return the points added to [[start]] since the first round began that are not recorded."""
    before = recorded.rounds[0].settings.start
    if before is None:
        return []
    known = [*map(dict, before), *(dict(added.hyperparameters) for added in recorded.added)]
    return [point for point in study.start if dict(point) not in known]


def _environment(objective: Objective) -> dict[str, str]:
    """Return what the last bits of a result depend on."""
    return {
        **objective.packages(),
        **{name: importlib.metadata.version(name) for name in ("hpo", "numpy", "optuna", "scipy")},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": platform.machine(),
        "blas": blas(),
    }
