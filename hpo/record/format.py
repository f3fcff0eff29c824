"""How rounds and trials are written to tags and params of MLflow runs, and read back.

Names that all trials of a study share are stored once, not once per trial.
"""

import json
import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hpo import wording
from hpo.distributions import (
    Choices,
    Distribution,
    Value,
    as_tuples,
    describe,
    from_table,
    is_value,
)
from hpo.errors import InputError
from hpo.moves import Decision, decision_from
from hpo.record.owner import Owner
from hpo.record.values import AcceptedCode, Added, Look, Round
from hpo.search_space import SearchSpace, is_absent, whole_name, wholes
from hpo.settings import Settings, fingerprint, settings_from
from hpo.text import one_line, shortened
from hpo.trial import (
    MOST_SEEDS,
    MOST_TRIALS,
    VALUE,
    Curve,
    EpochMetrics,
    State,
    Trial,
    TrialId,
    TrialResult,
)

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow.entities import Run

TAG_CHARACTERS = 7500  # MLflow cuts a tag at 8,000 without a word
NOTE_CHARACTERS = 7900
LOOK = "test set look "
# The kinds of runs above repeats, and above trials that were trained longer.
CONFIRMATION, EXTENSION = "confirmation", "extension"
EXTENDED, EXTENDED_TO = "extended", "extended_to"  # the kind of these, and a tag
OF = "of"  # the tag of a run that follows a trial, with the run of that
ADDED = "added"  # the tag of a trial whose point a person chose
PLACED = "placed."  # with its number, the tag of a round that says so before the trial is sent out
RANKED_BY = "ranked_by"  # the tag that names the metric which was added for MLflow's tables
HEARTBEAT, RELEASED = "heartbeat", "released"  # of the process that runs a study
WAITING, ASIDE = "results waiting", "results set aside"  # at its last heartbeat
STOPPED = "stopped"  # the tag of a round that ended early, and why
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
T = TypeVar("T")
_REMEDY = "restore it in MLflow, or delete the run there so that it no longer counts"
_REMEDY_OF_PARAM = "delete the run in MLflow so that it no longer counts"  # written but once


def read_tag(run: "Run", name: str, read: Callable[[str], T], default: str | None = None) -> T:
    """Return the result of `read` for a tag, or for `default` if there is no tag.

    Raises InputError, one line with run, tag and remedy, if the tag is not as it was written.
    """
    text = joined(name, run.data.tags) if name in run.data.tags else default
    return _reading(run, f"tag {name!r}", text, read)


def _reading(run: "Run", what: str, text: str | None, read: Callable[[str], T]) -> T:
    place = f"the {what} of the run {_short(run.info.run_name or '')} ({run.info.run_id})"
    remedy = _REMEDY if what.startswith("tag") else _REMEDY_OF_PARAM
    if text is None:
        raise InputError(f"{place} is missing; {remedy}")
    try:
        return read(text)
    except _UNREADABLE as error:
        why = shortened(one_line(str(error)), 100) or type(error).__name__
        raise InputError(f"{place} cannot be read: {_short(text)} ({why}); {remedy}") from error


def _time(seconds: float) -> str:
    """Return a time since 1970 as a person reads it, in UTC, to a millionth of a second."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="microseconds")
    except (OverflowError, ValueError, OSError):  # of a clock that is far off
        return repr(seconds)


def _moment(text: str) -> float:
    """Return a time in seconds since 1970; earlier versions wrote just those."""
    return datetime.fromisoformat(text).timestamp() if ":" in text else _finite(text)


def _short(text: str) -> str:
    return repr(shortened(one_line(text), 60))


def chunks(name: str, text: str) -> dict[str, str]:
    """Return `text` as tags name, name.2, … that are short enough for MLflow."""
    parts = [text[i : i + TAG_CHARACTERS] for i in range(0, len(text), TAG_CHARACTERS)]
    return {name if i == 1 else f"{name}.{i}": part for i, part in enumerate(parts, start=1)}


def joined(name: str, tags: Mapping[str, str]) -> str:
    """Return the text that `chunks` cut up."""
    text, part = tags.get(name, ""), 2
    while f"{name}.{part}" in tags:
        text += tags[f"{name}.{part}"]
        part += 1
    return text


class Pages(NamedTuple):
    """The links in the description of a trial: to its round, and to the trial that it follows."""

    round: str = ""
    trial: str = ""


_NOWHERE = Pages()


def result_tags(result: TrialResult, metric: str, pages: Pages = _NOWHERE) -> dict[str, str]:
    """Return the tags from which a result is read back without a request for each run."""
    tags = {
        "state": result.state.value,
        "seconds": repr(result.seconds),
        "started": _time(result.started),
        "place": result.place,
        "mlflow.note.content": trial_note(result, metric, pages),
    }
    if result.value is not None:
        tags |= {"value": repr(result.value), "epoch": str(result.epoch)}
        # What was trained longer is no dot among those of the search.
        if not result.trial.extended_to and not any(VALUE in epoch for epoch in result.metrics):
            tags[RANKED_BY] = VALUE
    if result.message:
        tags["message"] = result.message
    return {**tags, **chunks("curve", json.dumps(result.curve(metric)))}


def read_result(run: "Run", metric: str) -> TrialResult:
    """Read back a result from the tags and params of a trial's run.

    Raises InputError, like all readers here, if a tag is not as it was written.
    """
    tags = run.data.tags
    state = read_tag(run, "state", State)
    curve = read_tag(run, "curve", _curve, "[]")
    metrics: Sequence[EpochMetrics] = ()
    if curve:
        added = tags.get(RANKED_BY)  # which is no metric of the objective
        last = {sys.intern(n): value for n, value in run.data.metrics.items() if n != added}
        metrics = Curve(metric, curve, {**last, metric: curve[-1]})
    value = epoch = None
    if state in (State.COMPLETE, State.PRUNED) or "value" in tags:
        value = read_tag(run, "value", _finite)
        epoch = read_tag(run, "epoch", _whole)
        if not curve:
            read_tag(run, "curve", lambda text: _no("it has no value"))
        if epoch > len(curve):
            read_tag(run, "epoch", lambda text: _no(
                f"the trial has {wording.count(len(curve), 'epoch')}"
            ))
    return TrialResult(
        trial=read_trial(run),
        state=state,
        value=value,
        epoch=epoch,
        metrics=metrics,
        attempt=read_attempt(run),
        started=read_tag(run, "started", _moment),
        seconds=read_tag(run, "seconds", _finite),
        place=sys.intern(tags.get("place", "")),
        message=tags.get("message", ""),
    )


def read_trial(run: "Run") -> Trial:
    """Read back the trial of a run."""
    trial = read_id(run)
    seed = read_tag(run, "seed", lambda text: _whole(text, 0, MOST_SEEDS))
    return Trial(
        trial.round, trial.number, hyperparameters(run), seed, repeat=trial.repeat,
        resplit=trial.resplit, added=run.data.tags.get(ADDED) == "true", part=trial.part,
        extended_to=trial.extended_to,
    )


def read_id(run: "Run") -> TrialId:
    """Read back which trial a run belongs to, or which repeat of one."""
    repeat, resplit, part, extended_to = 0, False, 0, 0
    if run.data.tags.get("kind") == EXTENDED:
        extended_to = read_tag(run, EXTENDED_TO, _whole)
    if run.data.tags.get("kind") == "part":
        part = read_tag(run, "part", _whole)
    if run.data.tags.get("kind") == "repeat":
        repeat = read_tag(run, "repeat", _whole)
        resplit = read_tag(run, "resplit", ("false", "true").index) == 1
    return TrialId(
        read_tag(run, "round", _whole), read_tag(run, "number", _whole), repeat, resplit, part,
        extended_to,
    )


def read_attempt(run: "Run") -> int:
    """Read back the number of the attempt that a run is."""
    return read_tag(run, "attempt", _whole)


def _whole(text: str, low: int = 1, high: int = MOST_TRIALS) -> int:
    number = int(text)
    return number if low <= number < high else _no(f"it must be at least {low} and below {high}")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no("it is not a finite number")


def _curve(text: str) -> "array[float]":
    return array("d", _of_type(json.loads(text), list))


def _of_type(value: Any, kind: type[T]) -> T:
    return value if isinstance(value, kind) else _no(f"it is not JSON of type {kind.__name__}")


def _no(why: str) -> Any:
    raise ValueError(why)


def looks_taken(run: "Run") -> dict[int, Look]:
    """Return the uses of the test set that began, by number."""
    numbers = {
        _reading(run, f"param {name!r}", name.removeprefix(LOOK), _whole): value.partition(" ")[0]
        for name, value in run.data.params.items()
        if name.startswith(LOOK)
    }
    return {number: Look(number, when) for number, when in numbers.items()}


def looks_told(text: str) -> dict[int, Look]:
    """Read back the completed uses of the test set, by number, from a tag of the experiment.

    Raises ValueError or TypeError if it is not as it was written.
    """
    looks = [Look(**_of_type(look, dict)) for look in _of_type(json.loads(text), list)]
    for look in looks:
        _of_type(look.number, int), _of_type(look.when, str), _of_type(look.result, str)
    return {look.number: look for look in looks}


def claims(run: "Run") -> dict[int, Owner]:
    """Return the processes that ran the study, by the number of their claim."""
    return {
        _reading(run, f"param {name!r}", name.removeprefix("owner "), _whole): _reading(
            run, f"param {name!r}", value, Owner.from_text
        )
        for name, value in run.data.params.items()
        if name.startswith("owner ")
    }


def hyperparameters(run: "Run") -> dict[str, Value]:
    """Read back the hyperparameters of a trial's run."""
    return {
        sys.intern(name): _reading(run, f"param {name!r}", text, _value)
        for name, text in run.data.params.items()
    }


def _value(text: str) -> Value:
    value: Value = as_tuples(json.loads(text))
    return value if is_value(value) else _no("it is not a hyperparameter value")


def read_round(run: "Run") -> Round:
    """Read back the round of a run."""
    number = read_tag(run, "round", _whole)
    settings = read_tag(run, "settings", _settings)
    search_space = read_tag(run, "search_space", _search_space)
    if settings.search_space.keys() != search_space.keys():
        read_tag(run, "search_space", lambda text: _no("the tag 'settings' has different names"))
    return Round(
        number=number,
        run_id=run.info.run_id,
        search_space=search_space,
        settings=settings,
        fingerprint=read_tag(run, "settings", _fingerprint),
        ended=run.info.status == "FINISHED",
        decisions=read_tag(run, "proposal", _decisions, "[]"),
        stopped=run.data.tags.get(STOPPED, ""),
        placed=_placed(run),
        accepted=read_tag(run, "accepted_code", _accepted, "null"),
    )


def _placed(run: "Run") -> dict[int, Added]:
    """Return the points of a round that a person chose, by the numbers that they were given."""
    return {
        _reading(run, f"tag {name!r}", name.removeprefix(PLACED), _whole):
            read_tag(run, name, read_added)
        for name in run.data.tags if name.startswith(PLACED)
    }


def added_text(added: Added) -> str:
    """Return a point that a person chose as `read_added` reads it."""
    return json.dumps({"id": added.id, "point": added.hyperparameters})


def read_added(text: str) -> Added:
    """Read back a point that a person chose; raise one of several errors if it is not one."""
    table = _of_type(json.loads(text), dict)
    point = {name: as_tuples(value) for name, value in _of_type(table["point"], dict).items()}
    if not all(map(is_value, point.values())):
        _no("it contains something that is not a hyperparameter value")
    return Added(_of_type(table["id"], str), point)


def count_tag(state: State) -> str:
    """Return the tag of a round that says how many of its trials ended in a state."""
    return "stopped_by_hand" if state is State.STOPPED else state.value


def accepted_tags(accepted: AcceptedCode | None) -> dict[str, str]:
    """Return what says that a person accepted the code of a round."""
    return {"accepted_code": json.dumps(vars(accepted))} if accepted else {}


def _accepted(text: str) -> AcceptedCode | None:
    table = json.loads(text)
    if table is None:
        return None
    accepted = AcceptedCode(**_of_type(table, dict))
    _of_type(accepted.code, str), _of_type(accepted.syntax, str), _of_type(accepted.since, int)
    return accepted


def check_trial(run: "Run", trial: Trial, round_: Round) -> None:
    """Raise InputError if the run of a trial does not belong to the round it is under."""
    if trial.round != round_.number:
        read_tag(run, "round", lambda text: _no(f"it is under round {round_.number}"))
    for name in missing(trial, round_.search_space):
        text = run.data.params.get(name)
        _reading(run, f"param {name!r}", text, lambda text: _no("its range is numeric"))


def missing(trial: Trial, search_space: SearchSpace) -> list[str]:
    """Return the names that a trial of these ranges should have values for, but this one does not.

    In a numeric range, a text does not count as a value.
    """
    return [
        name for name, distribution in search_space.items()
        if not is_absent(name, distribution, trial.hyperparameters) and (
            name not in trial.hyperparameters or not (
                isinstance(distribution, Choices)
                or isinstance(trial.hyperparameters[name], int | float)
            )
        )
    ]


def _search_space(text: str) -> dict[str, Distribution]:
    tables = _of_type(json.loads(text), dict)
    return {name: from_table(table) for name, table in tables.items()} or _no("it is empty")


def _settings(text: str) -> Settings:
    return settings_from(_of_type(json.loads(text), dict))


def _fingerprint(text: str) -> str:
    return fingerprint(json.loads(text))


def _decisions(text: str) -> tuple[Decision, ...]:
    tables = _of_type(json.loads(text or "[]"), list)
    return tuple(decision_from(_upgraded(_of_type(table, dict))) for table in tables)


def _upgraded(move: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a move with the names that it has now: some had others before format 1."""
    earlier = {"direction": "kind", "evidence": "p_value"}
    return {earlier.get(name, name): value for name, value in move.items()}


def trial_note(result: TrialResult, metric: str, pages: Pages) -> str:
    """Return the description of a trial in Markdown: its round, its result, and why."""
    trial = result.trial
    name, of_round = f"Trial {trial.number}", f"round {trial.round}"
    name = f"[{name}]({pages.trial})" if pages.trial else name
    of_round = f"[{of_round}]({pages.round})" if pages.round else of_round
    if result.state is State.COMPLETE and result.value is not None:
        epochs = f"epoch {result.epoch} of {len(result.metrics)}"
        end = f"`{metric}` **{result.value:.4g}**, at {epochs}"
    elif result.is_cut_short and result.value is not None:
        end = f"stopped after epoch {len(result.metrics)}, with `{metric}` {result.value:.4g}"
    else:
        end = result.state.value
    if result.parts is not None and (error := result.standard_error) is not None:
        end += (f", the mean of {len(result.parts.values)} parts (standard error "
                f"{wording.number(error)})")
    repeat = f", repeat {trial.repeat}" if trial.repeat else ""
    repeat += f", part {trial.part}" if trial.part else ""
    repeat += f", extended to epoch {trial.extended_to}" if trial.extended_to else ""
    added = ", a point added by hand" if trial.added else ""
    note = f"{name} of {of_round}{repeat}{added}: {end}."
    if result.message:
        note += f"\n\n```\n{result.message}\n```"
    return shortened(note, NOTE_CHARACTERS)


def range_params(search_space: SearchSpace) -> dict[str, str]:
    """Return the params of a round with its ranges, one edge each."""
    params = {}
    for name, distribution in search_space.items():
        if isinstance(distribution, Choices):
            params[f"{name}.choices"] = describe(distribution)
        else:
            params[f"{name}.low"] = repr(distribution.low)
            params[f"{name}.high"] = repr(distribution.high)
    return params


def round_note(
    search_space: SearchSpace, decisions: Sequence[Decision], remarks: Sequence[str] = ()
) -> str:
    """Return the description of a round in Markdown: its ranges with reasons, and remarks."""
    reasons = {whole_name(decision.move.name): decision.reason for decision in decisions}
    lines = ["| hyperparameter | range | why |", "|---|---|---|"]
    left = TAG_CHARACTERS - 200
    ranges = wholes(search_space)
    for count, (name, distribution) in enumerate(ranges.items()):
        cells = (name, describe(distribution), one_line(reasons.get(name, "as set")))
        lines.append("".join(f"| {cell.replace('|', chr(92) + '|')} " for cell in cells) + "|")
        left -= len(lines[-1]) + 1
        if left < 0:
            rest = len(ranges) - count
            lines[-1] = f"\n{rest} more do not fit; `hpo show` and the params have all of them."
            break
    return remarked("\n".join(lines), remarks)


def remarked(note: str, remarks: Sequence[str]) -> str:
    """Return a description with a paragraph added for each remark, as far as there is room."""
    return shortened("\n\n".join((note, *remarks)), NOTE_CHARACTERS)
