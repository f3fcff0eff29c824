"""The trials of one round: proposed, sent out and reported in an order independent of timing."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

from hpo import wording
from hpo.distributions import Value
from hpo.errors import HPOError
from hpo.record.values import Added, Recorded, Round
from hpo.search.best_so_far import BestSoFar
from hpo.search.by_number import RandomSampler
from hpo.search.order import ResultsInOrder
from hpo.search.round_plan import RoundPlan
from hpo.search.samplers import SAMPLERS
from hpo.service.attempts import Attempts
from hpo.service.in_parts import TrialsInParts
from hpo.study import StudyFile
from hpo.trial import (
    CutOffs,
    State,
    Trial,
    TrialId,
    TrialResult,
    compact,
    trial_seed,
    worse,
)

FIRST_FAILURES = 5  # when so many trials have failed and none has not, the study stops


class RoundLoop:
    """The trials of one round: at most `parallel` at once, with results counted in order.

    If the sampler or pruner learns from results, a trial waits for those it knows (see `order`).
    """

    def __init__(
        self,
        study: StudyFile,
        round_: Round,
        trials: int,
        ends: float,
        recorded: Recorded,
        attempts: Attempts | TrialsInParts,
        place: Callable[[int, Added], None],
    ) -> None:
        settings = round_.settings
        self._study, self._round, self._trials = study, round_, trials
        self._listener = attempts.listener
        self._parallel = settings.parallel
        self._feasibility = study.feasibility_of(round_.search_space, settings.constraints)
        earlier = [r for r in recorded.results if r.trial.round < round_.number]
        known = [r for r in recorded.on_one_scale if r.trial.round < round_.number]
        plan = RoundPlan(
            round_.search_space, study.direction, study.seed, round_.number, trials, known,
            self._feasibility.accepts, settings.rounded, recorded.on_other_scales,
        )
        self._sampler = SAMPLERS[settings.sampler](plan)
        self._random = RandomSampler(plan)
        self._placed = dict(round_.placed)
        self._place = place
        self._seen = {a.id for r in (*recorded.rounds, round_) for a in r.placed.values()}
        self._start: Sequence[Mapping[str, Value]] = ()
        if round_.number == 1:
            self._start = study.start if settings.start is None else settings.start
        self._pruner = settings.pruner
        self._learns = self._sampler.learns or self._pruner is not None
        budget = study.budget
        # What ends a study by its results has to read them in order, as what learns from them.
        self._ends_by_results = budget.target is not None or budget.patience is not None
        self._waits = self._learns or self._ends_by_results
        self._earlier = earlier
        self._ends = ends
        self.stopped = ""
        self._results = ResultsInOrder(self._parallel, (
            r for r in (*recorded.results, *recorded.deleted) if r.trial.round == round_.number
        ))
        self._deleted = {r.trial.number for r in recorded.deleted if r.trial.round == round_.number}
        self._attempts = attempts
        self._proposed = 0
        self._own = 0  # of those proposed, the ones whose points no person added
        self._told = 0
        # What people add gets no number before this: of those with results, each trial is pending
        # for the next ones, so they may have come of what the numbers between were given.
        numbers = [r.trial.number for r in self._results.all()]
        self._free = max([*numbers, *(trial.number for trial in attempts.begun)], default=0) + 1
        self._best, self._shown = BestSoFar(study.direction), 0

    def run(self) -> list[TrialResult]:
        """Run the missing trials; return all results in order of number."""
        for result in self._results.all():
            self._listener.trial_ended(result)
        self._show_best()
        self._stop_if_hopeless()  # which going on with the round would not change
        while True:
            while not self.stopped and self._may_propose() and self._has_next():
                self.stopped = self._budget_reached()
                if not self.stopped:
                    self._send(self._proposed + 1)
            if not self._attempts.running:
                return [r for r in self._results.all() if r.trial.number <= self._proposed]
            ended = self._attempts.next_result()
            if ended is not None:
                self._results.add(compact(ended, self._study.metric))
                self._show_best()
                self._stop_if_hopeless()

    def _show_best(self) -> None:
        """Show how the best value changed by the results in order since the last call."""
        new = self._results.in_order(after=self._shown)
        self._shown += len(new)
        points = [point for result in new for point in self._best.add(result)]
        self._attempts.show_best(self._round.run_id, points)

    def _may_propose(self) -> bool:
        if self._attempts.running >= self._parallel:
            return False
        return not self._waits or self._results.are_ready_for(self._proposed + 1)

    def _has_next(self) -> bool:
        """Return whether the round has another trial."""
        if self._own < self._trials or self._proposed + 1 in self._placed:
            return True
        return self._next_added() is not None

    def _next_added(self) -> Added | None:
        """Return the first added point without a number, if it can have the next one."""
        if self._proposed + 1 < self._free:
            return None
        fresh = not self._proposed or (self._own >= self._trials and not self._attempts.running)
        for added in (self._attempts.look() if fresh else self._attempts.asked).added:
            if added.id in self._seen:
                continue
            reason = self._feasibility.reason_against_start(added.hyperparameters)
            if reason is None:
                return added
            self._seen.add(added.id)
            self._listener.note(f"a point added by hand is ignored: {reason}")
        return None

    def _added(self, number: int) -> Added | None:
        """Return the added point with this number, or give the number to one."""
        if number not in self._placed and (added := self._next_added()) is not None:
            self._place(number, added)
            self._placed[number] = added
            self._seen.add(added.id)
            self._listener.note(f"trial {number} is a point added by hand")
        return self._placed.get(number)

    def _send(self, number: int) -> None:
        """Propose trial `number`, and hand it to the workers unless its result is known."""
        added = self._added(number)
        self._proposed = number
        if added is None:
            self._own += 1
        else:
            self._sampler.skip(number)
        if self._waits:
            for result in self._results.known_to(number, after=self._told):
                self._told += 1
                self._sampler.tell(result)
        seed = trial_seed(self._study.seed, self._round.number, number)
        known = self._results.get(number)
        if known is not None:
            self._sampler.replay(number, known.trial.hyperparameters)
            return
        begun = self._attempts.begun_with(TrialId(self._round.number, number))
        given = added.hyperparameters if added is not None else None
        if given is None and self._own <= len(self._start):
            given = self._start[self._own - 1]
        if begun is not None:
            hyperparameters = dict(begun)
            self._sampler.replay(number, hyperparameters)
        elif given is not None:
            hyperparameters = self._random.complete(given, seed)
            self._sampler.replay(number, hyperparameters)
        else:
            hyperparameters = self._sampler.propose(number, seed)
        self._attempts.submit(
            Trial(
                self._round.number, number, hyperparameters, seed, self._cut_offs(),
                added=added is not None,
            )
        )

    def _budget_reached(self) -> str:
        """Return why no further trial is sent out, judging by the results in order, or ""."""
        if time.monotonic() > self._ends:
            hours = wording.count(self._study.budget.hours or 0, "hour")
            return f"the budget of {hours} is used up"
        if not self._ends_by_results:
            return ""
        known = self._results.known_to(self._proposed + 1)
        return budget_reached(self._study, [*self._earlier, *known])

    def _cut_offs(self) -> CutOffs | None:
        if self._pruner is None:
            return None
        known = self._results.known_to(self._proposed)
        return self._pruner.cut_offs(known, self._study.metric, self._study.direction)

    def _stop_if_hopeless(self) -> None:
        """Raise HPOError if too many trials failed; those deleted in MLflow do not count."""
        ended = [r for r in self._results.all() if r.trial.number not in self._deleted]
        failed = [r for r in ended if r.state is State.FAILED]
        if not failed:
            return
        allowed = self._study.round.max_failures
        if allowed is not None:
            hopeless = len(failed) > allowed
        else:
            all_failed = len(failed) == len(ended) >= min(FIRST_FAILURES, self._trials)
            hopeless = all_failed or len(failed) > self._trials / 2
        if hopeless:
            reason = failed[-1].reason or "unknown reason"
            anew = "" if len(failed) == len(ended) else " and give the study another name"
            raise HPOError(
                f"{len(failed)} of {wording.count(len(ended), 'trial')} failed, the last with: "
                f"{reason}; fix the objective{anew}, or raise max_failures"
            )


def budget_reached(study: StudyFile, results: Sequence[TrialResult]) -> str:
    """Return which budget these results, in order, have used up, or ""."""
    target, patience = study.budget.target, study.budget.patience
    best, since = math.nan, 0
    for result in results:
        since += 1
        if result.state is not State.COMPLETE or result.value is None:
            continue
        if target is not None and not worse(result.value, target, study.direction):
            return f"the target {wording.whole(target)} is reached"
        if math.isnan(best) or worse(best, result.value, study.direction):
            best, since = result.value, 0
        elif patience is not None and since >= patience:
            last = "trial was" if patience == 1 else f"{patience} trials were"
            return f"the last {last} no better"
    return ""
