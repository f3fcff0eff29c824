"""What makes trials of a study comparable: settings that must stay as they were."""

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
    """Return what a round of this study, on this data, begins with."""
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
    """Return the digests of the files that the objective reads by itself, by their names."""
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
    """Raise InputError where what is trained now could not be compared with what is recorded.

    With `accept_code` it may have other code. Where all that is trained belongs to a `next_round`,
    it may search more than before. What may change the last digits is only noted.
    """
    changed = _changes(study, round_, data)
    remedy = "change it back, or give the study another name"
    added = sorted(study.search_space.keys() - round_.search_space.keys())
    if changed == ["what is searched"] and added and not (
        round_.search_space.keys() - study.search_space.keys()
    ):
        remedy = (f"give search_space.{added[0]} a `backfill`, the value that the earlier trials "
                  "had, or give the study another name")
    if changed == [CODE]:
        remedy = ("change it back, accept it by --accept-code of run, confirm or extend, or give "
                  "the study another name")
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
            f"{study.path}: search_space.{new[0]}: it is new, and the trials of round "
            f"{round_.number} do not have it; begin a new round by --rounds {round_.number + 1}, "
            "or take it out for now"
        )
    for name in new:
        had = round_.settings.fixed.get(name)
        if had is not None and had != study.search_space[name].backfill:
            raise InputError(
                f"{study.path}: search_space.{name}.backfill: the earlier trials had {had!r}, from "
                "[fixed]; write that value"
            )
    now = _environment(study.objective)
    for name, before in round_.settings.environment.items():
        if now.get(name) != before:
            note(
                f"{name} is {now.get(name, 'not there')}, and was {before} in round "
                f"{round_.number}: results may differ in the last digits"
            )


def incomparable(study: StudyFile, round_: Round, data: Description | None) -> str:
    """Return what of the study is not as it was in a round and makes its trials others, or ""."""
    return " and ".join(_changes(study, round_, data))


def is_comparable(study: StudyFile, round_: Round, data: Description | None) -> bool:
    """Say whether trials of a round of another study have values on one scale with this one's.

    They have the same objective, code and data, and what this study does not search they had fixed
    at the same value. The seed may be another one.
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
        changed.append("what is searched")
    return changed


def _known(settings: Settings) -> Settings:
    """Return settings in which no name of an objective depends on its code."""
    return replace(settings, objective=known_as(settings.objective))


def new_names(study: StudyFile, round_: Round) -> list[str]:
    """Return what is searched from now on, and of which it is said what a round's trials had."""
    return [
        name for name, d in study.search_space.items()
        if name not in round_.search_space and d.backfill is not None
    ]


def new_code(study: StudyFile, round_: Round) -> AcceptedCode | None:
    """Return the code of the objective where that of a round's trials is another, else None."""
    now, (code, syntax) = study.objective.code, round_.code
    if now.digest == code or now.syntax == syntax:  # one of the two is enough
        return None
    return AcceptedCode(now.digest, now.syntax, since=round_.number)


def grows(study: StudyFile, last: Round, trials: int) -> bool:
    """Say whether the last round, which ended with so many trials, is to have more of them.

    Earlier rounds never are: what followed came of the trials that they had. The points of a grid
    follow from how many there are.
    """
    began = last.settings
    return began.sampler != "grid" and study.round.trials > max(trials, began.trials)


def edits(study: StudyFile, rounds: Sequence[Round], goal: int, trials: int = 0) -> list[str]:
    """Return what becomes of edits of a study file that has these rounds, a line for each.

    A round goes on with what it began with, but for the number of its trials. `goal` is how many
    rounds there shall be, `trials` how many the last one has.
    """
    last, began = rounds[-1], rounds[-1].settings
    number = last.number + 1

    def said(what: str, now: object, before: object) -> str:
        if not last.ended:
            return (f"{what} = {now}: round {last.number} began with {before} and keeps it; "
                    f"{now} is for the rounds after it")
        if goal < number:
            return f"{what} = {now}: for the next round, --rounds {number}"
        return f"{what} = {now} from round {number} on; round {last.number} had {before}"

    lines = []
    for key in ("sampler", "parallel", "trials"):
        now, before = getattr(study.round, key), getattr(began, key)
        if now == before:
            continue
        if key == "trials" and last.ended and goal < number and before < now <= trials:
            continue  # it has them
        goes_on = not last.ended and began.sampler != "grid"
        if key == "trials" and (goes_on or (goal < number and grows(study, last, trials))):
            lines.append(f"[round] trials = {now}: round {last.number} goes on to {now}; it began "
                         f"with {before}")
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
        when = "for the next round, --rounds" if goal < number else "from round"
        earlier = f"earlier trials count with {d.backfill}"
        if d.backfill is not None and not d.contains(d.backfill):
            earlier = f"earlier trials had {d.backfill}, outside it, and are left out of proposals"
        lines.append(f"[search_space] {name}: {describe(d)}, {when} {number}; {earlier}")
    for name, distribution in study.search_space.items():
        if distribution == began.search_space.get(name, distribution):
            continue
        if not last.ended or goal < number:
            ranges = describe(distribution), describe(last.search_space[name])
            lines.append(said(f"[search_space] {name}", *ranges))
    return lines


def new_points(study: StudyFile, recorded: Recorded) -> list[Mapping[str, Value]]:
    """Return the points that [[start]] has since the first round began, none of them on record."""
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
