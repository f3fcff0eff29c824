"""What follows the search: the best trials are repeated, or trained longer."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hpo import wording
from hpo.checkpoints.trials import Checkpoints
from hpo.distributions import Value
from hpo.errors import HPOError, InputError
from hpo.objective import MISSING
from hpo.record.format import CONFIRMATION, EXTENSION
from hpo.record.values import Attempt, Recorded, Round, last_round
from hpo.search import confirmation, extension
from hpo.service.attempts import Attempts
from hpo.service.comparability import refuse_changes
from hpo.service.proposals import best_trials
from hpo.service.running import Running
from hpo.study import StudyFile, refused
from hpo.study_tables import ConfirmSettings
from hpo.trial import EPOCHS, State, Trial, TrialResult, rank
from hpo.workers.attempt import Workers


class Following:
    """Trains the best trials of a study again, or longer; this does not affect the search."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._study, self._listener = running.study, running.listener

    def confirm(
        self, settings: ConfirmSettings, recorded: Recorded, *, accept_code: bool = False
    ) -> bool:
        """Train the best trials again, as often as the settings say; return False if all is done.

        The best are those by the values of the search, so that which trials are confirmed does not
        depend on the outcome. With `accept_code`, the objective may have different code than the
        last round. Raises InputError if there is no trial to confirm.
        """
        study, listener = self._study, self._listener
        last = last_round(study.name, recorded)
        if settings.resplit and study.data is None:
            raise InputError(
                f"{study.path}: confirm.resplit: without a table [data], there are no rows to "
                "split; remove it"
            )
        if settings.resplit and study.trial.folds:
            raise InputError(
                f"{study.path}: confirm.resplit: with trial.folds, every row is already used for "
                "validation; remove it"
            )
        self._refuse_changes(last, accept_code)
        best = rank(recorded.results, study.direction)[: settings.top]
        if not best:
            raise InputError(
                f"the study {study.name!r} has no complete trial to confirm; run more trials"
            )
        known = {r.trial.id for r in recorded.repeats}
        wanted = confirmation.repeats_of(best, study.seed, settings.repeats, settings.resplit)
        missing = [trial for trial in wanted if trial.id not in known]
        if not missing:
            return False
        self._begin(CONFIRMATION, last, recorded)
        listener.confirmation_started(len(best), len(missing))
        for split in sorted({trial.repeat if trial.resplit else 0 for trial in missing}):
            trials = [trial for trial in missing if not split or trial.repeat == split]
            self._train(trials, recorded, self._running.start_workers(split))
        order = ranking(study, settings, self._running.read())
        if not order:
            raise HPOError(
                "every repeat was deleted in MLflow while it ran; run the same command to start "
                "them again"
            )
        note = confirmation.note(order, study.metric, study.direction)
        first = order[0]
        numbers = {"mean": first.mean, "standard_error": first.standard_error}
        metrics = {name: number for name, number in numbers.items() if math.isfinite(number)}
        self._end(CONFIRMATION, note, metrics)
        return True

    def extend(
        self, top: int, epochs: int, recorded: Recorded, *, accept_code: bool = False
    ) -> bool:
        """Train the best trials for `epochs` epochs in total; return False if all is done.

        They continue from their kept copies; one without a copy is trained again from its seed. The
        best are those of the search, whatever earlier extensions achieved. With `accept_code`, the
        objective may have different code than the last round.

        Raises InputError if there is no trial to extend, or no hyperparameter that sets its length.
        """
        study, listener = self._study, self._listener
        last = last_round(study.name, recorded)
        self._refuse_changes(last, accept_code)
        best = best_trials(recorded, study.direction, top)
        wanted = _extended(study, best, epochs)
        known = {r.trial.id: r for r in recorded.extensions}
        failed = {i: r for i, r in known.items() if r.state is State.FAILED}
        missing = [trial for trial in wanted if trial.id not in known or trial.id in failed]
        for done in sorted(best, key=lambda r: r.trial.id):
            if done.trial.id not in {trial.original for trial in wanted}:
                length = wording.count(epochs, "epoch")
                listener.note(f"{done.trial.id} already has {length} and is left as it is")
        if not missing:
            return False
        self._begin(EXTENSION, last, recorded)
        begun = dict(recorded.followed_attempts)
        for identity in failed.keys() & {trial.id for trial in missing}:
            begun[identity] = Attempt(failed[identity].attempt, recorded.runs[identity])
            self._running.record.discard(recorded.runs[identity])
        recorded = replace(recorded, followed_attempts=begun)
        workers = self._running.start_workers(0)
        for trial in missing:
            if said := _without_copy(study, trial, workers.checkpoints):
                listener.note(said)
        listener.extension_started(len(missing), epochs)
        self._train(missing, recorded, workers)
        now = self._running.read()
        extended = extension.extensions_of(now.results, now.extensions)
        if not extended:
            raise HPOError(
                "every extension was deleted in MLflow while it ran; run the same command to "
                "start them again"
            )
        self._end(EXTENSION, extension.note(extended, study.metric), {})
        return True

    def _refuse_changes(self, last: Round, accept_code: bool) -> None:
        """Refuse a study that changed, and tell the user if its last round has not ended."""
        note = self._listener.note
        refuse_changes(self._study, last, self._running.data, note, accept_code=accept_code)
        if not last.ended:
            note(f"round {last.number} has not ended; these are the best trials so far")

    def _begin(self, kind: str, last: Round, recorded: Recorded) -> None:
        running = self._running
        running.take_over(recorded)
        running.accept_code(last, recorded)
        running.patiently(lambda again: running.record.start_group(kind))
        running.delivery.settings = last.fingerprint

    def _train(self, trials: Sequence[Trial], recorded: Recorded, workers: Workers) -> None:
        """Run trials to their end, and wait until they are recorded; close the workers."""
        known = (*recorded.results, *recorded.extensions)
        try:
            attempts = Attempts(
                self._study, recorded.followed_attempts, known, self._running.delivery, workers,
                self._listener,
            )
            for trial in trials:
                attempts.submit(trial)
            while attempts.running:
                attempts.next_result()
        finally:
            workers.close()
        self._running.wait_for_delivery()

    def _end(self, kind: str, note: str, metrics: Mapping[str, float]) -> None:
        running = self._running
        running.patiently(lambda again: running.record.end_group(kind, note, metrics))
        running.patiently(lambda again: running.delivery.confirm())


def ranking(
    study: StudyFile, settings: ConfirmSettings, recorded: Recorded
) -> list[confirmation.Confirmation]:
    """Return the best trials by the means of their repeats, without those deleted meanwhile."""
    known = confirmation.confirmed(recorded.results, recorded.repeats, settings.resplit)
    best = rank(recorded.results, study.direction)[: settings.top]
    trials = [known[r.trial.id] for r in best if r.trial.id in known]
    return confirmation.in_order(trials, study.direction)


def _without_copy(study: StudyFile, trial: Trial, kept: Checkpoints | None) -> str:
    """Return a line if a trial restarts, or continues earlier than its last copy; or ""."""
    anew = f"{trial.original} is trained again from epoch 1"
    if kept is None:
        return f"{anew}: without a table [checkpoints], no copy of it is kept"
    copies = kept.of(trial, study.fixed)
    told = copies.epochs()
    if not told:
        return f"{anew}: no copy of its folder made with this code and data is kept here"
    if kept.is_far:
        return ""  # to read it takes as long as to train, perhaps
    with tempfile.TemporaryDirectory() as name:
        snapshot = copies.restore(Path(name))
    found = len(snapshot.metrics) if snapshot is not None else 0
    if not found:
        return f"{anew}: the copy of its folder is damaged"
    if found < told:
        return (
            f"{trial.original} continues after epoch {found}: the copy of epoch {told} is damaged"
        )
    return ""


def _extended(study: StudyFile, best: Sequence[TrialResult], epochs: int) -> list[Trial]:
    """Return the extended trials; raise InputError if impossible, or if all are long enough."""
    parameter = study.objective.parameters.get(EPOCHS)
    if parameter is None:
        raise InputError(
            f"{study.path}: {study.objective.name} accepts no hyperparameter `{EPOCHS}`, which "
            "sets how long it trains; add one"
        )
    if study.trial.parts > 1:
        key = "folds" if study.trial.folds else "seeds"
        raise InputError(
            f"{study.path}: trial.{key}: a trial consists of {study.trial.parts} trainings, but "
            "hpo extend can continue only one; evaluate the study as it is"
        )
    wanted, lengths = [], []
    for result in best:
        values: dict[str, Value] = result.trial.values(study.fixed)
        length = values.get(EPOCHS, parameter.default)
        lengths.append(length if isinstance(length, int) and length is not MISSING else 0)
        if lengths[-1] < epochs:
            wanted.append(extension.extended(result.trial, epochs))
    if not wanted:
        raise InputError(
            f"--epochs: the best {wording.count(len(best), 'trial')} were trained for "
            f"{wording.count(max(lengths), 'epoch')}; choose more than that"
        )
    why = refused(study.objective, study.objective.taken(wanted[0].values(study.fixed)))
    if why is not None:
        raise InputError(f"--epochs: {study.objective.name} does not accept {epochs}: {why}")
    return wanted
