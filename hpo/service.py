"""The loop: propose trials, send them out, keep what comes back; and between rounds move ranges."""

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from hpo import objective as objectives
from hpo.errors import HPOError, InputError, RecordUnavailable
from hpo.narrowing import Move, narrow
from hpo.outbox import Delivery
from hpo.pruning import Pruner
from hpo.samplers import SAMPLERS, RandomSampler, RoundPlan
from hpo.search_space import (
    CategoricalDistribution,
    Distribution,
    SearchSpace,
    Value,
    as_tuples,
    to_table,
    with_range,
)
from hpo.study import Study, refused
from hpo.tracking import Recorded, Round
from hpo.trial import State, Trial, TrialResult, trial_seed, worse
from hpo.workers import Event, Job, Lost, Progress, Workers

ATTEMPTS = 3  # at a trial whose worker dies
FIRST_FAILURES = 5  # when so many trials have failed and none has not, the study stops
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 600.0  # for a record that is away at the end of a round


class Record(Protocol):
    """What the service asks of the record; `tracking.Tracking` is one."""

    def create(
        self, study: str, description: str, tags: Mapping[str, str], columns: Sequence[str]
    ) -> str:
        """Make the study known, if it is not."""
        ...

    def read(self, study: str) -> Recorded | None:
        """Return all that is known of a study."""
        ...

    def start_round(
        self,
        study: str,
        number: int,
        search_space: SearchSpace,
        settings: Mapping[str, Any],
        *,
        proposal: Sequence[Mapping[str, Any]],
        params: Mapping[str, str],
        dataset: Mapping[str, Any],
        files: Mapping[str, str],
    ) -> Round:
        """Record that a round begins."""
        ...

    def end_round(
        self, run_id: str, best_so_far: Mapping[str, Sequence[float]], tags: Mapping[str, str]
    ) -> None:
        """Record that a round ended."""
        ...

    def discard(self, run_id: str) -> None:
        """Delete the run of an attempt without a result."""
        ...


class Listener(Protocol):
    """Is told what happens, for those who watch."""

    def round_started(self, round_: Round, trials: int, moves: Sequence[Mapping[str, Any]]) -> None:
        """Take note that a round begins or goes on."""
        ...

    def trial_started(self, trial: Trial) -> None:
        """Take note that a trial was handed to the workers."""
        ...

    def trial_progressed(self, progress: Progress) -> None:
        """Take note of the epochs of a running trial."""
        ...

    def trial_ended(self, result: TrialResult) -> None:
        """Take note of a result."""
        ...

    def note(self, text: str) -> None:
        """Show a line to the user."""
        ...


@dataclass(frozen=True)
class Command:
    """What shall be true in the end: so many rounds, the next one with these ranges."""

    rounds: int
    ranges: Mapping[str, Distribution] = field(default_factory=dict)
    keep_ranges: bool = False


@dataclass(frozen=True)
class Site:
    """Where trials run, and a description of the data they run on."""

    workers: Workers
    dataset: Mapping[str, Any]


def job_of(study: Study) -> Job:
    """Return what workers have to know of a study."""
    return Job(
        study.objective.name, study.metric, study.direction, study.value, study.fixed,
        (str(study.path.absolute().parent),), study.resources.cpus,
    )


def open_rounds(recorded: Recorded | None, rounds: int) -> range:
    """Return the numbers of the rounds that are still to run, so that there are `rounds`."""
    ended = [r.number for r in recorded.rounds if r.ended] if recorded else []
    return range(max(ended, default=0) + 1, rounds + 1)


def propose(
    round_: Round, results: Sequence[TrialResult], accepts: Callable[[str, Value], bool]
) -> tuple[Move, ...]:
    """Return the moves of the ranges after `round_`, a pure function of the results.

    An edge that was to move where the objective `accepts` no value stays.
    """
    moves = narrow(round_.search_space, results, round_.settings["direction"])
    return tuple(_accepted(move, accepts) for move in moves)


def acceptance(round_: Round) -> Callable[[str, Value], bool]:
    """Return a function that says whether the objective of a round accepts a value.

    It accepts all where the objective cannot be found here.
    """
    try:
        objective = objectives.find(round_.settings["objective"])
    except InputError:
        return lambda name, value: True
    values = {name: d.from_unit(0.5) for name, d in round_.search_space.items()}
    fixed = {name: as_tuples(value) for name, value in round_.settings["fixed"].items()}
    return lambda name, value: refused(objective, {**fixed, **values, name: value}) is None


def run(
    study: Study,
    command: Command,
    record: Record,
    recorded: Recorded | None,
    delivery: Delivery,
    site: Callable[[], Site],
    listener: Listener,
) -> bool:
    """Make the command true; return False where it was so already.

    `recorded` is what the record holds of the study, with the outbox delivered. `site` is called
    once, when it is sure that trials will run.
    """
    to_run = open_rounds(recorded, command.rounds)
    if not to_run:
        return False
    known = recorded.rounds[-1] if recorded and recorded.rounds else None
    if known is not None:
        _refuse_changes(study, known, listener)
    place = site()
    try:
        if study.round.parallel < place.workers.slots:
            listener.note(
                f"[round] parallel = {study.round.parallel} leaves "
                f"{place.workers.slots - study.round.parallel} of {place.workers.slots} workers "
                "idle; twice the workers is a good number"
            )
        if recorded is None:
            columns = [
                f"metrics.`best_{study.metric}`", f"metrics.`{study.metric}`",
                *(f"params.`{name}`" for name in study.search_space), "tags.`state`",
            ]
            record.create(
                study.name, _description(study), {"objective": study.objective.name}, columns
            )
            recorded = record.read(study.name)
            assert recorded is not None
        for (_, run_id) in recorded.attempts.values():
            record.discard(run_id)
        for number in to_run:
            _run_round(study, command, number, record, recorded, delivery, place, listener)
            command = Command(command.rounds, {}, command.keep_ranges)
            recorded = record.read(study.name)
            if recorded is None:
                raise HPOError(f"the experiment {study.name!r} is gone; the study stops")
    finally:
        place.workers.close()
    return True


def _run_round(
    study: Study,
    command: Command,
    number: int,
    record: Record,
    recorded: Recorded,
    delivery: Delivery,
    site: Site,
    listener: Listener,
) -> None:
    """Start the round or go on with it, until it has all its trials and is recorded as ended."""
    current = next((r for r in recorded.rounds if r.number == number), None)
    if current is None:
        search_space, proposal = _next_ranges(study, command, recorded)
        current = record.start_round(
            study.name, number, search_space, _settings(study, site.dataset),
            proposal=proposal,
            params={name: str(_plain(value)) for name, value in study.fixed.items()}
            | {"sampler": study.round.sampler, "parallel": str(study.round.parallel)},
            dataset=site.dataset,
            files={f"study/{study.path.name}": study.text},
        )
    elif command.ranges:
        raise InputError(
            f"--range: round {number} has begun with its ranges; finish it first, "
            "then change those of the next"
        )
    trials = study.round.trials
    if current.settings["sampler"] == "grid":
        trials = current.settings["trials"]  # the points follow from how many they are
    listener.round_started(current, trials, current.proposal)
    round_loop = _RoundLoop(study, current, trials, recorded, delivery, site.workers, listener)
    results = round_loop.run()
    if not delivery.finish(PATIENCE_SECONDS):
        raise RecordUnavailable(
            "the record is still away; every result is on disk: "
            "the same command delivers them and goes on"
        )
    counts = {state.value: str(sum(r.state is state for r in results)) for state in State}
    best = _best_so_far(results, study)
    record.end_round(current.run_id, {f"best_{study.metric}": best}, counts)


class _RoundLoop:
    """The trials of one round: at most `parallel` at once, whose results count in order.

    Trial n is proposed with the results of exactly the trials up to n - parallel (where sampler
    or pruner learn from results), so that what is proposed never depends on timing.
    """

    def __init__(
        self,
        study: Study,
        round_: Round,
        trials: int,
        recorded: Recorded,
        delivery: Delivery,
        workers: Workers,
        listener: Listener,
    ) -> None:
        settings = round_.settings
        self._study, self._round, self._trials = study, round_, trials
        self._delivery, self._workers, self._listener = delivery, workers, listener
        self._parallel: int = settings["parallel"]
        earlier = [r for r in recorded.results if r.trial.round < round_.number]
        plan = RoundPlan(
            round_.search_space, study.direction, study.seed, round_.number, trials, earlier
        )
        self._sampler = SAMPLERS[settings["sampler"]](plan)
        self._random = RandomSampler(plan)
        self._pruner: Pruner | None = study.round.pruner
        self._learns = self._sampler.learns or self._pruner is not None
        self._results = {
            r.trial.number: r
            for r in (*recorded.results, *recorded.spent)
            if r.trial.round == round_.number
        }
        self._attempts = {
            n: attempt for (r, n), (attempt, _) in recorded.attempts.items() if r == round_.number
        }
        self._running: dict[int, Trial] = {}
        self._proposed = 0
        self._told = 0

    def run(self) -> list[TrialResult]:
        """Run what is missing; return all results in order of number."""
        for number in sorted(self._results):
            self._listener.trial_ended(self._results[number])
        while True:
            while self._proposed < self._trials and self._may_propose():
                self._send(self._proposed + 1)
            if not self._running:
                return [self._results[n] for n in sorted(self._results) if n <= self._trials]
            event = self._workers.next_event(POLL_SECONDS)
            if event is not None:
                self._take(event)

    def _may_propose(self) -> bool:
        if len(self._running) >= self._parallel:
            return False
        if not self._learns:
            return True
        last_needed = self._proposed + 1 - self._parallel
        return all(n in self._results for n in range(self._told + 1, last_needed + 1))

    def _send(self, number: int) -> None:
        """Propose trial `number`, and hand it to the workers unless its result is known."""
        self._proposed = number
        if self._learns:
            while self._told < number - self._parallel:
                self._told += 1
                self._sampler.tell(self._results[self._told])
        seed = trial_seed(self._study.seed, self._round.number, number)
        if number in self._results:
            self._sampler.replay(number, self._results[number].trial.hyperparameters)
            return
        start = self._study.start[number - 1 : number] if self._round.number == 1 else ()
        if start:
            hyperparameters = {**self._random.propose(number, seed), **start[0]}
            self._sampler.replay(number, hyperparameters)
        else:
            hyperparameters = self._sampler.propose(number, seed)
        trial = Trial(self._round.number, number, hyperparameters, seed, self._cut_offs())
        self._running[number] = trial
        self._submit(trial)

    def _submit(self, trial: Trial) -> None:
        attempt = self._attempts.get(trial.number, 0) + 1
        self._attempts[trial.number] = attempt
        self._workers.submit(trial, attempt)
        self._listener.trial_started(trial)

    def _cut_offs(self) -> Any:
        if self._pruner is None:
            return None
        visible = [self._results[n] for n in range(1, self._told + 1)]
        return self._pruner.cut_offs(visible, self._study.metric, self._study.direction)

    def _take(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._delivery.show(event)
            self._listener.trial_progressed(event)
            return
        if isinstance(event, Lost):
            if event.attempt < ATTEMPTS:
                self._listener.note(f"trial {event.trial.number}: {event.reason}; it runs again")
                self._submit(event.trial)
                return
            event = TrialResult(
                event.trial, State.FAILED, attempt=event.attempt,
                message=f"{event.reason} (attempt {event.attempt} of {ATTEMPTS})",
            )
        del self._running[event.trial.number]
        self._delivery.add(event)
        self._results[event.trial.number] = event
        self._listener.trial_ended(event)
        self._stop_if_hopeless(event)

    def _stop_if_hopeless(self, latest: TrialResult) -> None:
        failed = sum(r.state is State.FAILED for r in self._results.values())
        all_failed = failed == len(self._results) >= min(FIRST_FAILURES, self._trials)
        if all_failed or failed > self._trials / 2:
            reason = latest.message.splitlines()[-1] if latest.message else "no reason known"
            raise HPOError(
                f"{failed} of {len(self._results)} trials failed, the last with: {reason}; "
                "correct the objective, delete their runs or rename the study, and run it again"
            )


def _next_ranges(
    study: Study, command: Command, recorded: Recorded
) -> tuple[SearchSpace, list[dict[str, Any]]]:
    """Return the ranges of the next round, and how each came about."""
    if not recorded.rounds:
        return {**study.search_space, **command.ranges}, []
    last = recorded.rounds[-1]
    moves = propose(last, recorded.results, acceptance(last))
    search_space, proposal = {}, []
    for move in moves:
        used, decision = move.new, "taken"
        if command.keep_ranges:
            used, decision = move.old, "kept by --keep-ranges"
        if move.name in command.ranges:
            used, decision = command.ranges[move.name], "overruled by --range"
        search_space[move.name] = used
        proposal.append(move_table(move) | {"used": to_table(used), "decision": decision})
    return search_space, proposal


def move_table(move: Move) -> dict[str, Any]:
    """Return a move as plain values, for the record and for JSON."""
    return {
        "name": move.name,
        "old": to_table(move.old),
        "new": to_table(move.new),
        "direction": move.direction,
        "factor": move.factor,
        "reason": move.reason,
        "evidence": None if math.isnan(move.evidence) else move.evidence,
    }


def _accepted(move: Move, accepts: Callable[[str, Value], bool]) -> Move:
    """Return the move with the edges the objective does not accept back where they were."""
    old, new = move.old, move.new
    if isinstance(old, CategoricalDistribution) or isinstance(new, CategoricalDistribution):
        return move
    low = new.low if accepts(move.name, new.low) else old.low
    high = new.high if accepts(move.name, new.high) else old.high
    bounded = with_range(new, low, high)
    if bounded == new:
        return move
    note = f"{move.reason}; the objective accepts no value beyond"
    if bounded == move.old:
        return replace(move, new=bounded, direction="kept", factor=1.0, reason=note)
    return replace(move, new=bounded, reason=note)


def _best_so_far(results: Sequence[TrialResult], study: Study) -> list[float]:
    """Return the best value among the first n trials, for each n; NaN while there is none."""
    best = [math.nan]
    for result in results:
        better = result.state is State.COMPLETE and result.value is not None and (
            math.isnan(best[-1]) or worse(best[-1], result.value, study.direction)
        )
        best.append(result.value if better and result.value is not None else best[-1])
    return best[1:]


def _settings(study: Study, dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a round is started with; the part before "sampler" makes trials comparable."""
    return {
        "objective": study.objective.name,
        "code": objectives.digest(study.objective),
        "data": dataset["digest"],
        "fixed": {name: _plain(value) for name, value in sorted(study.fixed.items())},
        "metric": study.metric,
        "direction": study.direction,
        "value": study.value,
        "seed": study.seed,
        "sampler": study.round.sampler,
        "pruner": repr(study.round.pruner),
        "parallel": study.round.parallel,
        "trials": study.round.trials,
        "environment": _environment(),
    }


_COMPARABLE = {
    "objective": "the objective",
    "code": "the code of the objective",
    "fixed": "[fixed]",
    "metric": "metric",
    "direction": "direction",
    "value": "value",
    "seed": "seed",
}


def _refuse_changes(study: Study, round_: Round, listener: Listener) -> None:
    """Raise InputError where new trials could not be compared with those recorded."""
    now = _settings(study, {"digest": round_.settings["data"]})
    changed = [
        text for key, text in _COMPARABLE.items() if now[key] != round_.settings.get(key)
    ]
    if changed:
        raise InputError(
            f"{study.path}: {' and '.join(changed)} changed since round {round_.number}, "
            "so its trials cannot be compared; change it back, or give the study another name"
        )
    for name, before in round_.settings["environment"].items():
        if now["environment"][name] != before:
            listener.note(
                f"{name} is {now['environment'][name]}, and was {before} in round "
                f"{round_.number}: results may differ in the last digits"
            )


def _environment() -> dict[str, str]:
    """Return what the last bits of a result depend on."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def _plain(value: Value) -> Any:
    """Return tuples as lists, as JSON reads them back."""
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _description(study: Study) -> str:
    return (
        f"A study of `{study.objective.name}`: {study.direction} `{study.metric}`. "
        "Each top-level run is a round of trials in fixed ranges; each run under it is a trial."
    )
