"""The loop: propose trials, send them out, keep what comes back; and between rounds move ranges."""

import json
import math
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from hpo import confirmation
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
from hpo.study import ConfirmSettings, Study, refused
from hpo.tracking import Recorded, Round
from hpo.trial import (
    CutOffs,
    Identity,
    State,
    Trial,
    TrialResult,
    compact,
    rank,
    trial_seed,
    worse,
)
from hpo.workers import Job, Lost, Progress, Workers, one_thread

ATTEMPTS = 3  # at a trial whose worker dies
FIRST_FAILURES = 5  # when so many trials have failed and none has not, the study stops
POLL_SECONDS = 0.5
T = TypeVar("T")
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
        again: bool = False,
    ) -> Round:
        """Record that a round begins; with `again` take what an earlier try left."""
        ...

    def claim(self, study: str, note: Callable[[str], None]) -> None:
        """Become the one process that runs the study."""
        ...

    def release(self, study: str) -> None:
        """Let other processes run the study."""
        ...

    def end_round(
        self, run_id: str, best_so_far: Mapping[str, Sequence[float]], tags: Mapping[str, str]
    ) -> None:
        """Record that a round ended."""
        ...

    def discard(self, run_id: str) -> None:
        """Delete the run of an attempt without a result."""
        ...

    def start_confirmation(self, study: str) -> None:
        """Record that trials are about to be repeated."""
        ...

    def end_confirmation(self, study: str, note: str) -> None:
        """Record what came of the repeats."""
        ...


class Listener(Protocol):
    """Is told what happens, for those who watch."""

    def round_started(self, round_: Round, trials: int, moves: Sequence[Mapping[str, Any]]) -> None:
        """Take note that a round begins or goes on."""
        ...

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Take note that so many repeats of the best trials are missing."""
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
    ends: float = math.inf  # when its hours are over, on the monotonic clock


def job_of(study: Study) -> Job:
    """Return what workers have to know of a study."""
    return Job(
        study.objective.name, study.metric, study.direction, study.value, study.fixed,
        (str(study.path.absolute().parent),), study.resources.cpus, study.round.trial_timeout,
    )


def open_rounds(recorded: Recorded | None, rounds: int) -> range:
    """Return the numbers of the rounds that are still to run, so that there are `rounds`."""
    ended = [r.number for r in recorded.rounds if r.ended] if recorded else []
    return range(max(ended, default=0) + 1, rounds + 1)


def propose(
    round_: Round,
    results: Sequence[TrialResult],
    repeats: Sequence[TrialResult],
    accepts: Callable[[str, Value], bool],
) -> tuple[Move, ...]:
    """Return the moves of the ranges after `round_`, a pure function of results and repeats.

    An edge that was to move where the objective `accepts` no value stays.
    """
    confirmed = confirmation.means(results, repeats)
    with one_thread():
        moves = narrow(round_.search_space, results, round_.settings["direction"], confirmed)
    return tuple(_accepted(move, accepts) for move in moves)


def is_found(round_: Round) -> bool:
    """Say whether the objective of a round can be imported here."""
    try:
        objectives.find(round_.settings["objective"])
    except InputError:
        return False
    return True


def acceptance(round_: Round) -> Callable[[str, Value], bool]:
    """Return a function that says whether the objective of a round accepts a value.

    It accepts all where the objective cannot be found here.
    """
    if not is_found(round_):
        return lambda name, value: True
    objective = objectives.find(round_.settings["objective"])
    values = {name: d.from_unit(0.5) for name, d in round_.search_space.items()}
    fixed = {name: as_tuples(value) for name, value in round_.settings["fixed"].items()}
    return lambda name, value: refused(objective, {**fixed, **values, name: value}) is None


def run(
    study: Study,
    command: Command,
    record: Record,
    recorded: Recorded | None,
    delivery: Delivery,
    dataset: Mapping[str, Any],
    start_workers: Callable[[], Workers],
    listener: Listener,
    illustrate: Callable[[Recorded, Sequence[Move]], None] | None = None,
) -> bool:
    """Make the command true; return False where it was so already.

    `recorded` is what the record holds of the study, with the outbox delivered; `dataset`
    describes the data that the workers, started only where trials will run, hold. `illustrate`
    is called after each round with the record and the next moves, in a thread beside the next
    round; where it fails, a note says so.
    """
    to_run = open_rounds(recorded, command.rounds)
    if not to_run:
        return False
    if recorded is not None and recorded.rounds:
        refuse_changes(study, recorded.rounds[-1], dataset, listener.note)
        if _reached(study, recorded.results):
            return False
        record.claim(study.name, listener.note)
        _discard_attempts(record, recorded)
    if study.budget.hours is not None:
        command = replace(command, ends=time.monotonic() + study.budget.hours * 3600)
    workers = start_workers()
    drawing = _Drawing(illustrate, listener)
    try:
        _warn(study, workers, listener)
        known = recorded
        if known is None:
            known = _patiently(lambda again: _create(study, record), listener)
        moves: Sequence[Move] | None = None
        for number in to_run:
            stopped = _run_round(
                study, command, number, record, known, moves, delivery, dataset, workers, listener
            )
            known = _patiently(lambda again: _read(study, record), listener)
            moves = drawing.begin(known)
            if stopped:
                listener.note(f"{stopped}: the study ends")
                break
            command = replace(command, ranges={})
    except BaseException:
        drawing.abandon()
        raise
    finally:
        workers.close()
    drawing.finish()
    return True


def confirm(
    study: Study,
    settings: ConfirmSettings,
    record: Record,
    recorded: Recorded,
    delivery: Delivery,
    dataset: Mapping[str, Any],
    start_workers: Callable[[int], Workers],
    listener: Listener,
) -> bool:
    """Train the best trials again, as often as the settings say; False where they were already.

    The best are those of the searched values, so that what is confirmed does not depend on what
    came of it. `start_workers` is given a repeat, whose split the workers shall hold, or 0 for
    that of the study. Raises InputError where there is no trial to confirm.
    """
    if not recorded.rounds:
        raise InputError(f"the study {study.name!r} has no round yet; start one with `hpo run`")
    last = recorded.rounds[-1]
    refuse_changes(study, last, dataset, listener.note)
    if not last.ended:
        listener.note(f"round {last.number} has not ended: these are the best trials so far")
    best = rank(recorded.results, study.direction)[: settings.top]
    if not best:
        raise InputError(f"the study {study.name!r} has no complete trial to confirm; run more")
    known = {r.trial.identity for r in recorded.repeats}
    wanted = confirmation.repeats_of(best, study.seed, settings.repeats, settings.resplit)
    missing = [trial for trial in wanted if trial.identity not in known]
    if not missing:
        return False
    record.claim(study.name, listener.note)
    _discard_attempts(record, recorded)
    _patiently(lambda again: record.start_confirmation(study.name), listener)
    listener.confirmation_started(len(best), len(missing))
    for split in sorted({trial.repeat if trial.resplit else 0 for trial in missing}):
        workers = start_workers(split)
        try:
            attempts = _Attempts(recorded.repeat_attempts, delivery, workers, listener)
            trials = [trial for trial in missing if not split or trial.repeat == split]
            for trial in trials:
                attempts.submit(trial)
            while attempts.running:
                attempts.next_result()
        finally:
            workers.close()
    _wait_for(delivery)
    order = ranking(study, settings, _patiently(lambda again: _read(study, record), listener))
    note = confirmation.note(order, study.metric, study.direction)
    _patiently(lambda again: record.end_confirmation(study.name, note), listener)
    return True


def ranking(
    study: Study, settings: ConfirmSettings, recorded: Recorded
) -> list[confirmation.Confirmation]:
    """Return the best trials by the means of their repeats."""
    known = confirmation.confirmed(recorded.results, recorded.repeats, settings.resplit)
    best = rank(recorded.results, study.direction)[: settings.top]
    trials = [known[r.trial.round, r.trial.number] for r in best]
    return confirmation.in_order(trials, study.direction)


class _Drawing:
    """Draws what is known after each round in a thread, while the study goes on."""

    def __init__(
        self, illustrate: Callable[[Recorded, Sequence[Move]], None] | None, listener: Listener
    ) -> None:
        self._illustrate, self._listener = illustrate, listener
        self._thread: threading.Thread | None = None
        self._abandoned = False

    def begin(self, known: Recorded) -> Sequence[Move] | None:
        """Begin to draw; return the next moves, where they are in the picture."""
        self.finish()
        if self._illustrate is None:
            return None
        moves = _moves(known)
        self._thread = threading.Thread(target=self._draw, args=(known, moves), daemon=True)
        self._thread.start()
        return moves

    def finish(self) -> None:
        """Wait until the picture is done."""
        if self._thread is not None:
            self._thread.join()

    def abandon(self) -> None:
        """Let the picture be: nobody waits for it."""
        self._abandoned = True

    def _draw(self, known: Recorded, moves: Sequence[Move]) -> None:
        assert self._illustrate is not None
        try:
            self._illustrate(known, moves)
        except Exception as error:
            if not self._abandoned:
                number = known.rounds[-1].number
                self._listener.note(
                    f"round {number} has no figures: {type(error).__name__}: {error}"
                )


def _create(study: Study, record: Record) -> Recorded:
    columns = [
        f"metrics.`best_{study.metric}`", f"metrics.`{study.metric}`",
        *(f"params.`{name}`" for name in study.search_space), "tags.`state`",
    ]
    record.create(study.name, _description(study), {"objective": study.objective.name}, columns)
    return _read(study, record)


def _read(study: Study, record: Record) -> Recorded:
    recorded = record.read(study.name)
    if recorded is None:
        raise HPOError(f"the experiment {study.name!r} is gone; the study stops")
    return recorded


def _discard_attempts(record: Record, recorded: Recorded) -> None:
    """Delete the runs of attempts that a process which died left without a result."""
    for _, run_id in (*recorded.attempts.values(), *recorded.repeat_attempts.values()):
        record.discard(run_id)


def _patiently(call: Callable[[bool], T], listener: Listener) -> T:
    """Return what `call` returns, tried again while the record is away, then with True."""
    end = time.monotonic() + PATIENCE_SECONDS
    again = False
    while True:
        try:
            return call(again)
        except RecordUnavailable as error:
            if time.monotonic() > end:
                raise
            if not again:
                listener.note(f"waiting for the record ({error})")
            again = True
            time.sleep(POLL_SECONDS)


def _run_round(
    study: Study,
    command: Command,
    number: int,
    record: Record,
    recorded: Recorded,
    moves: Sequence[Move] | None,
    delivery: Delivery,
    dataset: Mapping[str, Any],
    workers: Workers,
    listener: Listener,
) -> str:
    """Start the round or go on with it, until it has its trials and is recorded as ended.

    `moves` are those that lead to its ranges, None where they are not known yet. Returns why the
    study ends before its rounds are full, or "".
    """
    current = next((r for r in recorded.rounds if r.number == number), None)
    if current is None:
        search_space, proposal = _next_ranges(study, command, recorded, moves)
        params = {name: str(_plain(value)) for name, value in study.fixed.items()}
        params |= {"sampler": study.round.sampler, "parallel": str(study.round.parallel)}
        current = _patiently(
            lambda again: record.start_round(
                study.name, number, search_space, _settings(study, dataset), proposal=proposal,
                params=params, dataset=dataset, again=again,
                files={f"study/{study.path.name}": study.text},
            ),
            listener,
        )
        if not recorded.rounds:
            record.claim(study.name, listener.note)
    elif command.ranges:
        raise InputError(
            f"--range: round {number} has begun with its ranges; finish it first, "
            "then change those of the next"
        )
    trials = study.round.trials
    if current.settings["sampler"] == "grid":
        trials = current.settings["trials"]  # the points follow from how many they are
    listener.round_started(current, trials, current.proposal)
    loop = _RoundLoop(
        study, current, trials, command.ends, recorded, delivery, workers, listener
    )
    results = loop.run()
    _wait_for(delivery)
    tags = {state.value: str(sum(r.state is state for r in results)) for state in State}
    if loop.stopped:
        tags["stopped"] = loop.stopped
    best = {f"best_{study.metric}": _best_so_far(results, study)}
    run_id = current.run_id
    _patiently(lambda again: record.end_round(run_id, best, tags), listener)
    return loop.stopped


def _wait_for(delivery: Delivery) -> None:
    """Return when every result is on record."""
    if not delivery.finish(PATIENCE_SECONDS):
        raise RecordUnavailable(
            "the record is still away; every result is on disk: "
            "the same command delivers them and goes on"
        )


class _Attempts:
    """Trials at the workers, sent out again where a worker dies; results go to the outbox.

    `begun` holds the last attempt at a trial that an earlier process made.
    """

    def __init__(
        self,
        begun: Mapping[Identity, tuple[int, str]],
        delivery: Delivery,
        workers: Workers,
        listener: Listener,
    ) -> None:
        self._latest = {identity: attempt for identity, (attempt, _) in begun.items()}
        self._delivery, self._workers, self._listener = delivery, workers, listener
        self.running = 0

    def submit(self, trial: Trial) -> None:
        """Hand a trial to the workers."""
        self.running += 1
        self._send(trial)

    def next_result(self) -> TrialResult | None:
        """Wait for the next event; return it where it is a result, which then is on disk."""
        event = self._workers.next_event(POLL_SECONDS)
        if event is None:
            return None
        if isinstance(event, Progress):
            self._delivery.show(event)
            self._listener.trial_progressed(event)
            return None
        if isinstance(event, Lost):
            self._delivery.abandon(event)
            if event.attempt < ATTEMPTS:
                self._listener.note(f"trial {event.trial.number}: {event.reason}; it runs again")
                self._send(event.trial)
                return None
            event = TrialResult(
                event.trial, State.FAILED, attempt=event.attempt,
                message=f"{event.reason} (attempt {event.attempt} of {ATTEMPTS})",
            )
        self.running -= 1
        self._delivery.add(event)
        self._listener.trial_ended(event)
        return event

    def _send(self, trial: Trial) -> None:
        attempt = self._latest.get(trial.identity, 0) + 1
        self._latest[trial.identity] = attempt
        self._workers.submit(trial, attempt)
        self._listener.trial_started(trial)


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
        ends: float,
        recorded: Recorded,
        delivery: Delivery,
        workers: Workers,
        listener: Listener,
    ) -> None:
        settings = round_.settings
        self._study, self._round, self._trials = study, round_, trials
        self._listener = listener
        self._parallel: int = settings["parallel"]
        earlier = [r for r in recorded.results if r.trial.round < round_.number]
        plan = RoundPlan(
            round_.search_space, study.direction, study.seed, round_.number, trials, earlier
        )
        self._sampler = SAMPLERS[settings["sampler"]](plan)
        self._random = RandomSampler(plan)
        self._pruner: Pruner | None = study.round.pruner
        self._learns = self._sampler.learns or self._pruner is not None
        budget = study.budget
        # What ends a study by its results has to read them in order, as what learns from them.
        self._ends_by_results = budget.target is not None or budget.patience is not None
        self._waits = self._learns or self._ends_by_results
        self._earlier = earlier
        self._ends = ends
        self.stopped = ""
        self._results = {
            r.trial.number: r
            for r in (*recorded.results, *recorded.spent)
            if r.trial.round == round_.number
        }
        begun = {(r, n, 0, False): attempt for (r, n), attempt in recorded.attempts.items()}
        self._attempts = _Attempts(begun, delivery, workers, listener)
        self._proposed = 0
        self._told = 0

    def run(self) -> list[TrialResult]:
        """Run what is missing; return all results in order of number."""
        for number in sorted(self._results):
            self._listener.trial_ended(self._results[number])
        while True:
            while self._proposed < self._trials and self._may_propose():
                self.stopped = self.stopped or self._budget_reached()
                if self.stopped:
                    self._trials = self._proposed
                    break
                self._send(self._proposed + 1)
            if not self._attempts.running:
                return [self._results[n] for n in sorted(self._results) if n <= self._trials]
            result = self._attempts.next_result()
            if result is not None:
                self._results[result.trial.number] = compact(result, self._study.metric)
                self._stop_if_hopeless(result)

    def _may_propose(self) -> bool:
        if self._attempts.running >= self._parallel:
            return False
        if not self._waits:
            return True
        last_needed = self._proposed + 1 - self._parallel
        return all(n in self._results for n in range(self._told + 1, last_needed + 1))

    def _send(self, number: int) -> None:
        """Propose trial `number`, and hand it to the workers unless its result is known."""
        self._proposed = number
        if self._waits:
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
        self._attempts.submit(
            Trial(self._round.number, number, hyperparameters, seed, self._cut_offs())
        )

    def _budget_reached(self) -> str:
        """Return why no further trial is sent out, or "", from the results in order."""
        if time.monotonic() > self._ends:
            return f"the {self._study.budget.hours:g} hours of its budget are over"
        if not self._ends_by_results:
            return ""
        visible = max(self._proposed + 1 - self._parallel, 0)
        in_order = [self._results[n] for n in range(1, visible + 1) if n in self._results]
        return _reached(self._study, [*self._earlier, *in_order])

    def _cut_offs(self) -> CutOffs | None:
        if self._pruner is None:
            return None
        visible = [self._results[n] for n in range(1, self._told + 1)]
        return self._pruner.cut_offs(visible, self._study.metric, self._study.direction)

    def _stop_if_hopeless(self, latest: TrialResult) -> None:
        if latest.state is not State.FAILED:
            return
        failed = sum(r.state is State.FAILED for r in self._results.values())
        allowed = self._study.round.max_failures
        if allowed is not None:
            hopeless = failed > allowed
        else:
            all_failed = failed == len(self._results) >= min(FIRST_FAILURES, self._trials)
            hopeless = all_failed or failed > self._trials / 2
        if hopeless:
            reason = latest.message.splitlines()[-1] if latest.message else "no reason known"
            raise HPOError(
                f"{failed} of {len(self._results)} trials failed, the last with: {reason}; "
                "correct the objective and give the study another name, or raise max_failures"
            )


def _reached(study: Study, results: Sequence[TrialResult]) -> str:
    """Return which budget these results, in order, have reached, or ""."""
    target, patience = study.budget.target, study.budget.patience
    best, since = math.nan, 0
    for result in results:
        since += 1
        if result.state is not State.COMPLETE or result.value is None:
            continue
        if target is not None and not worse(result.value, target, study.direction):
            return f"the target {target:g} is reached"
        if math.isnan(best) or worse(best, result.value, study.direction):
            best, since = result.value, 0
        elif patience is not None and since >= patience:
            return f"the last {patience} trials were no better"
    return ""


def _warn(study: Study, workers: Workers, listener: Listener) -> None:
    """Say what of the settings costs time or makes proposals worse."""
    parallel, slots, trials = study.round.parallel, workers.slots, study.round.trials
    if parallel < slots:
        listener.note(
            f"[round] parallel = {parallel} leaves {slots - parallel} of {slots} workers idle; "
            "twice the workers is a good number"
        )
    if study.round.sampler == "tpe" and parallel > trials / 4:
        listener.note(
            f"[round] parallel = {parallel} is more than a quarter of {trials} trials: "
            "most are proposed before there are results to learn from"
        )


def _moves(recorded: Recorded) -> tuple[Move, ...]:
    last = recorded.rounds[-1]
    return propose(last, recorded.results, recorded.repeats, acceptance(last))


def _next_ranges(
    study: Study, command: Command, recorded: Recorded, moves: Sequence[Move] | None
) -> tuple[SearchSpace, list[dict[str, Any]]]:
    """Return the ranges of the next round, and how each came about."""
    if not recorded.rounds:
        return {**study.search_space, **command.ranges}, []
    last = recorded.rounds[-1]
    in_file = {
        name: d for name, d in study.search_space.items()
        if to_table(d) != last.settings["search_space"][name]
    }
    moves = _moves(recorded) if moves is None else moves
    search_space, proposal = {}, []
    for move in moves:
        used, decision = move.new, "taken"
        if command.keep_ranges:
            used, decision = move.old, "kept by --keep-ranges"
        if move.name in in_file:
            used, decision = in_file[move.name], "changed in the study file"
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
        "search_space": {name: to_table(d) for name, d in study.search_space.items()},
        "environment": _environment(),
    }


_COMPARABLE = {
    "objective": "the objective",
    "code": "the code of the objective",
    "data": "the data or its split",
    "fixed": "[fixed]",
    "metric": "metric",
    "direction": "direction",
    "value": "value",
    "seed": "seed",
}


def refuse_changes(
    study: Study, round_: Round, dataset: Mapping[str, Any], note: Callable[[str], None]
) -> None:
    """Raise InputError where what is trained now could not be compared with what is recorded.

    What may change the last digits is only noted.
    """
    now = json.loads(json.dumps(_settings(study, dataset)))  # as the record gives it back
    changed = [text for key, text in _COMPARABLE.items() if now[key] != round_.settings.get(key)]
    if now["search_space"].keys() != round_.settings["search_space"].keys():
        changed.append("what is searched")
    if changed:
        raise InputError(
            f"{study.path}: {' and '.join(changed)} changed since round {round_.number}, "
            "so its trials cannot be compared; change it back, or give the study another name"
        )
    for name, before in round_.settings["environment"].items():
        if now["environment"][name] != before:
            note(
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
