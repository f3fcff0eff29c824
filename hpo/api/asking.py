"""Ask and tell: train the trials of a study in your own loop, recorded as usual."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hpo.api import asked_for
from hpo.api.lookup import record_address
from hpo.api.results import Results, load
from hpo.api.session import open_session
from hpo.api.site import Placement, Site
from hpo.api.study import AGAIN, Study
from hpo.errors import InputError

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    from collections.abc import Callable

    from hpo.data.folds import Held
    from hpo.study import StudyFile
    from hpo.trial import Progress, Trial
    from hpo.workers.asked import AskedWorkers
    from hpo.workers.attempt import Job, Stops, Workers


@dataclass(frozen=True)
class AskedTrial:
    """A trial to train: its round and number, its hyperparameters, and its seed.

    If trials have several seeds, each `part` is asked for separately.
    """

    round: int
    number: int
    part: int
    seed: int
    hyperparameters: Mapping[str, Any]
    _trial: "Trial" = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a hyperparameter."""
        return self.hyperparameters[name]


@dataclass(frozen=True)
class _Handed(Placement):
    """Trials run wherever they are asked for."""

    handing: "AskedWorkers | None" = None

    def start(
        self,
        study: "StudyFile",
        job: "Job",
        data: "Held",
        show: "Callable[[Progress], None]",
        stops: "Stops",
    ) -> "Workers":
        """Return the workers that hand out trials, the same for rounds and repeats."""
        assert self.handing is not None
        self.handing.begin(job, stops)
        return self.handing


class Asking:
    """A context manager that hands out the trials of a study and takes their results.

    Inside the `with` block, this process runs the study. A result is on disk when `tell` returns,
    and reaches the record in the background. A trial that was asked for but never told is handed
    out again next time, with the same hyperparameters and the same seed.
    """

    def __init__(
        self, study: Study, rounds: int | None = None, tracking_uri: str | None = None
    ) -> None:
        asked_for.instance(study, Study, "study", "an hpo.Study")
        self._study = study
        self._rounds = asked_for.whole_or_none(rounds, "rounds") or study.file.rounds
        self._uri = record_address(tracking_uri)
        self._at_the_end = ExitStack()
        self._workers: AskedWorkers | None = None

    def __enter__(self) -> Self:
        """Open the study and start proposing trials."""
        from hpo.display.quiet import Quiet
        from hpo.service.rounds import Goal
        from hpo.workers.asked import AskedWorkers, Closed

        file = self._study.file
        if file.data is not None or file.data_files:
            raise InputError(
                f"{file.path}: data: hpo.open loads no data, because your own loop trains the "
                "trials; remove the table"
            )
        workers = self._workers = AskedWorkers(file.round.parallel)
        site = Site(self._uri, _Handed(handing=workers), Quiet(), lambda: AGAIN)
        session = self._at_the_end.enter_context(open_session(file, site))
        goal = Goal(self._rounds)

        def serve() -> None:
            from hpo.api.training import run_rounds

            found: BaseException | None = None
            try:
                run_rounds(session, file, goal)
            except Closed:
                pass
            except BaseException as error:  # of a thread nobody would hear it
                found = error
            workers.end(found)

        service = threading.Thread(target=serve, name="hpo")
        service.start()
        self._at_the_end.callback(service.join)
        self._at_the_end.callback(workers.ask_no_more)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Record what was told; raise any error that ended the study."""
        self._at_the_end.__exit__(kind, error, trace)
        if error is None:
            self._asked().refuse_unheard()

    def __iter__(self) -> Iterator[AskedTrial]:
        """Yield trials, each of which must be told, until the study has all its rounds."""
        while (trial := self.ask()) is not None:
            yield trial

    def ask(self, *, wait: bool = False) -> AskedTrial | None:
        """Return the next trial, or None if the study has all its rounds.

        At most `round.parallel` trials can be out at the same time. Asking for one more raises
        InputError, or with `wait=True` waits until another thread tells one.
        """
        from hpo.workers.asked import hyperparameters_of

        trial = self._asked().ask(wait)
        if trial is None:
            return None
        return AskedTrial(
            trial.round, trial.number, trial.part, trial.seed,
            hyperparameters_of(trial, self._study.file.fixed), trial,
        )

    def report(self, trial: AskedTrial, metrics: Any) -> bool:
        """Report the metrics of one epoch; return True if the trial is over.

        A trial is over if it is pruned, if a metric is not finite, or if it is stopped by hand; it
        then needs no `tell`. `metrics` is a mapping of names to numbers, or the value of the
        study's metric.
        """
        return self._asked().report(_given(trial), metrics) is not None

    def tell(self, trial: AskedTrial, metrics: Any = ()) -> None:
        """Tell the result of a trial; return once it is on disk.

        `metrics` is a mapping of names to numbers, or the value of the study's metric, or a list
        of either with one item per epoch. Epochs already reported come first; if all were
        reported, leave it out. The trial counts as complete, not as pruned.
        """
        many = isinstance(metrics, Sequence) and not isinstance(metrics, str | bytes)
        epochs = metrics if many else [metrics]
        self._asked().tell(_given(trial), epochs)

    def fail(self, trial: AskedTrial, reason: str) -> None:
        """Tell that a trial failed, and why; it has no result, and the search ignores it."""
        self._asked().fail(_given(trial), str(reason))

    def infeasible(self, trial: AskedTrial, reason: str) -> None:
        """Tell that hyperparameters cannot be trained together, and why; the search learns this."""
        from hpo.trial import State

        self._asked().fail(_given(trial), str(reason), State.INFEASIBLE)

    def _asked(self) -> "AskedWorkers":
        if self._workers is None:
            raise InputError("the study is not open; use `with hpo.open(study) as trials:`")
        return self._workers

    def results(self) -> Results:
        """Return what is recorded so far; after the `with` block, everything."""
        return load(self._study.name, self._uri)


def _given(trial: AskedTrial) -> "Trial":
    asked_for.instance(trial, AskedTrial, "trial", "a trial that `ask` returned")
    return trial._trial


def open_study(
    study: Study, rounds: int | None = None, *, tracking_uri: str | None = None
) -> Asking:
    """Open a study to train its trials in your own loop; use it in a `with` block.

    `rounds` is the total number of rounds; the default is that of the study.

        with hpo.open(study) as trials:
            for trial in trials:
                trials.tell(trial, train(trial["learning_rate"], seed=trial.seed))
    """
    return Asking(study, rounds, tracking_uri)
