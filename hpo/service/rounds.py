"""Rounds of trials, with ranges that move in between."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hpo import wording
from hpo.distributions import Distribution, as_lists
from hpo.errors import InputError
from hpo.moves import Move
from hpo.record.format import STOPPED, count_tag, range_params
from hpo.record.reading import partition_of
from hpo.record.sources import Source, from_text, to_text
from hpo.record.values import Added, Recorded, Round, RoundStart, Shown
from hpo.search.best_so_far import points_of
from hpo.service import remarks
from hpo.service.attempts import Attempts
from hpo.service.comparability import (
    CODE,
    edits,
    file_digests,
    grows,
    incomparable,
    new_code,
    new_points,
    refuse_changes,
    settings_of,
)
from hpo.service.illustrating import Drawing, Illustrate
from hpo.service.in_parts import TrialsInParts
from hpo.service.proposals import next_ranges
from hpo.service.round_loop import RoundLoop, budget_reached
from hpo.service.running import Running
from hpo.trial import State, TrialResult
from hpo.workers.attempt import Workers


@dataclass(frozen=True)
class Goal:
    """What a run should achieve: a number of rounds, the next one with these ranges.

    With `accept_code`, the objective may have different code than the last round. A first round
    starts from the trials of `sources`.
    """

    rounds: int
    ranges: Mapping[str, Distribution] = field(default_factory=dict)
    keep_ranges: bool = False
    accept_code: bool = False
    sources: Sequence[Source] = ()
    ends: float = math.inf  # when its hours are over, on the monotonic clock


def open_rounds(recorded: Recorded | None, rounds: int) -> range:
    """Return the numbers of the rounds still to run, for a total of `rounds`."""
    ended = [r.number for r in recorded.rounds if r.ended] if recorded else []
    return range(max(ended, default=0) + 1, rounds + 1)


class Rounds:
    """The rounds of a study that this process runs.

    `illustrate` is called after each round with the record and the next moves, in a thread beside
    the next round; if it fails, a note says so.
    """

    def __init__(self, running: Running, illustrate: Illustrate | None = None) -> None:
        self._running, self._illustrate = running, illustrate
        self._study, self._record, self._delivery = running.study, running.record, running.delivery
        self._data, self._listener = running.data, running.listener
        self._sources: Sequence[Source] = ()

    def run(self, goal: Goal, recorded: Recorded | None) -> bool:
        """Reach the goal; return False if it was already reached.

        `recorded` is the contents of the study's record, after the outbox was delivered.
        """
        study, listener = self._study, self._listener
        recorded = self._without_false_start(recorded)
        text = to_text(goal.sources or (recorded.sources if recorded else ()), study.metric)
        self._sources = from_text(text, study.metric)
        to_run, trials = open_rounds(recorded, goal.rounds), study.round.trials
        if recorded is not None and recorded.rounds:
            last = recorded.rounds[-1]
            proposed = recorded.proposed(last)
            for line in edits(study, recorded.rounds, goal.rounds, proposed):
                listener.note(line)
            more = new_points(study, recorded)
            if more:
                added = wording.count(len(more), "more point")
                listener.note(f"[[start]]: {added} since round 1 started, to be tried next")
            again = not to_run and last.number <= goal.rounds
            if again and not grows(study, last, proposed):
                again, trials = bool(more or recorded.waiting), proposed
            if again:
                to_run = range(last.number, last.number + 1)
            if not to_run:
                if goal.ranges or goal.keep_ranges:
                    option = "--range" if goal.ranges else "--keep-ranges"
                    listener.note(
                        f"{option}: no round is left to start with it; add --rounds "
                        f"{last.number + 1}"
                    )
                changed = incomparable(study, last, self._data)
                if changed:
                    remedy = (
                        f"add --rounds {last.number + 1} --accept-code to run another round with it"
                        if changed == CODE else "change it back, or give the study another name"
                    )
                    listener.note(
                        f"{changed} changed since round {last.number}, but nothing is left to run; "
                        f"{remedy}"
                    )
                return False
            if goal.ranges and (again or not last.ended):
                raise InputError(
                    f"--range: round {last.number} has already started with its ranges; finish it "
                    "first, then change the ranges of the next round"
                )
            refuse_changes(
                study, last, self._data, listener.note, accept_code=goal.accept_code,
                next_round=last.ended and not again,
            )
            ended = budget_reached(study, recorded.results)
            if ended:
                if again and trials == proposed:
                    listener.note(
                        f"{ended}: points added by hand are waiting; change [budget] to run them"
                    )
                return False
            self._running.take_over(recorded)
            self._running.accept_code(last, recorded, last.ended and not again)
            if more:
                self._running.patiently(lambda repeated: self._record.add(more))
            if again:
                self._running.patiently(lambda repeated: self._record.reopen_round(last.run_id))
            if more or again:
                recorded = self._running.read()
        if not to_run:
            return False
        if study.budget.hours is not None:
            goal = replace(goal, ends=time.monotonic() + study.budget.hours * 3600)
        workers = self._running.start_workers(0)
        drawing = Drawing(self._illustrate, listener)
        try:
            for line in remarks.of_parallel(study, workers.slots):
                listener.note(line)
            known = recorded if recorded is not None else self._create()
            for number in to_run:
                stopped = self._run_round(
                    number, goal, known, drawing.moves(), workers, trials
                )
                known = self._running.read()
                drawing.begin(known)
                if stopped:
                    listener.note(f"{stopped}: the study ends")
                    break
                goal = replace(goal, ranges={})
        except BaseException:
            drawing.abandon()
            raise
        finally:
            workers.close()
        drawing.finish()
        return True

    def _without_false_start(self, recorded: Recorded | None) -> Recorded | None:
        """Return what is recorded, without rounds that were edited before any trial succeeded.

        There is nothing yet that new trials must be comparable with.
        """
        rounds = recorded.rounds if recorded is not None else ()
        if recorded is None or not rounds or recorded.looks or recorded.repeats:
            return recorded
        if any(r.state is not State.FAILED for r in (*recorded.results, *recorded.parts)):
            return recorded
        changed = incomparable(self._study, rounds[-1], self._data)
        if not changed and not recorded.is_half_begun:
            return recorded
        if changed:
            self._listener.note(
                f"{changed} changed since round {rounds[-1].number}, in which no trial has "
                "succeeded: the study starts over"
            )
        self._running.take_over(recorded)
        self._record.release()  # the claim would go with its round
        for round_ in rounds:
            self._record.discard(round_.run_id)
        return self._create(again=True)

    def _create(self, again: bool = False) -> Recorded:
        """Create the study in the record, or update it with newly searched hyperparameters."""
        study = self._study
        space = study.search_space
        shown = Shown(
            tuple(space), study.metric, study.direction, tuple(range_params(space)),
            study.trial.parts > 1,
        )
        tags = {"objective": study.objective.name}
        self._running.patiently(
            lambda repeated: self._record.create(
                remarks.of_study(study), tags, shown, again=again or repeated
            )
        )
        return self._running.read()

    def _run_round(
        self,
        number: int,
        goal: Goal,
        recorded: Recorded,
        moves: Sequence[Move] | None,
        workers: Workers,
        trials: int,
    ) -> str:
        """Start or continue the round, until it has its trials and is recorded as ended.

        It has this many `trials`, plus those that people add. `moves` lead to its ranges, None if
        they are not known yet. Returns why the study ends before its rounds are complete, or "".
        """
        study, delivery = self._study, self._delivery
        recorded = replace(recorded, sources=self._sources)
        current = next((r for r in recorded.rounds if r.number == number), None)
        if current is None:
            current = self._start_round(number, goal, recorded, moves)
        delivery.begin(current)
        if current.settings.sampler == "grid":
            trials = current.settings.trials  # the points follow from how many they are
        added = sum(r.trial.round == number and r.trial.added for r in recorded.results)
        self._listener.round_started(current, trials + added)
        done = sum(r.trial.round == number for r in recorded.results)
        if done:
            self._listener.note(
                f"resuming with {done} of {wording.count(trials + added, 'trial')} done"
            )
        attempts = Attempts(
            study, recorded.attempts, (*recorded.results, *recorded.parts, *recorded.extensions),
            delivery, workers, self._listener,
        )
        partition = partition_of(current)
        in_parts = TrialsInParts(attempts, partition, _open_parts(recorded))

        def place(trial: int, point: Added) -> None:
            self._running.patiently(lambda again: self._record.place(current.run_id, trial, point))

        runs = in_parts if partition.count > 1 else attempts
        loop = RoundLoop(study, current, trials, goal.ends, recorded, runs, place)
        results = loop.run()
        self._running.wait_for_delivery()
        attempts.forget_others()
        tags = {
            count_tag(state): str(sum(r.state is state for r in results)) for state in State
        }
        if loop.stopped:
            tags[STOPPED] = loop.stopped
        points = points_of(results, study.direction)
        self._running.patiently(
            lambda again: self._record.end_round(current.run_id, study.metric, points, tags)
        )
        self._running.patiently(lambda again: delivery.confirm())
        self._listener.round_ended(current, results)
        return loop.stopped

    def _start_round(
        self, number: int, goal: Goal, recorded: Recorded, moves: Sequence[Move] | None
    ) -> Round:
        study = self._study
        search_space, decisions = next_ranges(study, recorded, moves, goal.ranges, goal.keep_ranges)
        params = {name: str(as_lists(value)) for name, value in study.fixed.items()}
        params |= {"sampler": study.round.sampler, "parallel": str(study.round.parallel)}
        last = recorded.rounds[-1] if recorded.rounds else None
        if last is not None and search_space.keys() != last.search_space.keys():
            self._create(again=True)  # for its views
        accepted = new_code(study, last) if last is not None else None
        start = RoundStart(
            number=number,
            search_space=search_space,
            settings=settings_of(study, self._data),
            decisions=decisions,
            params=params,
            data=self._data,
            files=self._round_files(),
            accepted=accepted,
            overrides=study.overrides,
            sources=self._sources if number == 1 else (),
            remarks=[
                *(remarks.of_source(source) for source in self._sources if number == 1),
                *([remarks.of_accepted_code(accepted)] if accepted is not None else []),
                *([remarks.of_overrides(study.overrides)] if study.overrides else []),
            ],
        )
        started = self._running.patiently(
            lambda again: self._record.start_round(start, again=again)
        )
        if not recorded.rounds:
            self._record.claim(self._listener.note)
        return started

    def _round_files(self) -> dict[str, str]:
        """Return the texts that are kept with a round, by name."""
        files = {f"study/{self._study.path.name}": self._study.text}
        digests = file_digests(self._study)
        if digests:
            files["study/data_files.json"] = json.dumps(digests, indent=1, ensure_ascii=False)
        return files


def _open_parts(recorded: Recorded) -> list[TrialResult]:
    """Return the recorded parts of trials that have more to come."""
    known = {result.trial.id for result in (*recorded.results, *recorded.deleted)}
    return [part for part in recorded.parts if part.trial.original not in known]
