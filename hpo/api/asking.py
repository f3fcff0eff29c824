"""Ask and tell: a loop of one's own trains the trials of a study, whose record is as always."""

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
    """A trial to train: its place in the study, its hyperparameters and its seed.

    Of a trial with several seeds, each `part` is asked for by itself.
    """

    round: int
    number: int
    part: int
    seed: int
    hyperparameters: Mapping[str, Any]
    _trial: "Trial" = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        """Return a hyperparameter."""
        return self.hyperparameters[name]


@dataclass(frozen=True)
class _Handed(Placement):
    """Trials run wherever those are who ask for them."""

    handing: "AskedWorkers | None" = None

    def start(
        self,
        study: "StudyFile",
        job: "Job",
        data: "Held",
        show: "Callable[[Progress], None]",
        stops: "Stops",
    ) -> "Workers":
        """Return what hands trials to those who ask: the same for rounds and repeats."""
        assert self.handing is not None
        self.handing.begin(job, stops)
        return self.handing


class Asking:
    """A study whose trials are asked for, and told, one by one; a context.

    Inside it this process runs the study: what is told is kept on disk before `tell` returns, and
    reaches the record in the background. A trial that was asked for and never told is asked for
    again next time, with the same hyperparameters and the same seed.
    """

    def __init__(
        self, study: Study, rounds: int | None = None, tracking_uri: str | None = None
    ) -> None:
        asked_for.instance(study, Study, "study", "make or read one by hpo.Study")
        self._study = study
        self._rounds = asked_for.whole_or_none(rounds, "rounds") or study.file.rounds
        self._uri = record_address(tracking_uri)
        self._at_the_end = ExitStack()
        self._workers: AskedWorkers | None = None

    def __enter__(self) -> Self:
        """Take the study up, and begin to propose trials."""
        from hpo.display.quiet import Quiet
        from hpo.service.rounds import Goal
        from hpo.workers.asked import AskedWorkers, Closed

        file = self._study.file
        if file.data is not None or file.data_files:
            raise InputError(
                f"{file.path}: data: whoever asks for trials brings the data along; take the table "
                "out"
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
        """Put on record what is told; whatever else ended the study comes out here."""
        self._at_the_end.__exit__(kind, error, trace)
        if error is None:
            self._asked().refuse_unheard()

    def __iter__(self) -> Iterator[AskedTrial]:
        """Yield trials, each of which is to be told, until the study has its rounds."""
        while (trial := self.ask()) is not None:
            yield trial

    def ask(self, *, wait: bool = False) -> AskedTrial | None:
        """Return the next trial, None where the study has its rounds.

        At most `round.parallel` can be asked for and not told. InputError says so where one more
        is asked for; with `wait` another thread is waited for, which is to tell one.
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
        """Tell the metrics of one epoch; True where that ends the trial, which then is told.

        It ends where the pruner says so, where a metric is not finite, or where a person stops it.
        `metrics` are names and numbers, or the number of the study's metric.
        """
        return self._asked().report(_given(trial), metrics) is not None

    def tell(self, trial: AskedTrial, metrics: Any = ()) -> None:
        """Tell what a trial came to, and return once that is on disk.

        `metrics` are names and numbers, or the number of the study's metric, or a list of such,
        one for each epoch. Epochs that were reported count before them; where all were, leave it
        out. What is told to its end is not pruned.
        """
        many = isinstance(metrics, Sequence) and not isinstance(metrics, str | bytes)
        epochs = metrics if many else [metrics]
        self._asked().tell(_given(trial), epochs)

    def fail(self, trial: AskedTrial, reason: str) -> None:
        """Tell that a trial failed, and why: it has no result, and the search learns nothing."""
        self._asked().fail(_given(trial), str(reason))

    def infeasible(self, trial: AskedTrial, reason: str) -> None:
        """Tell that hyperparameters do not go together, and why: the search learns from that."""
        from hpo.trial import State

        self._asked().fail(_given(trial), str(reason), State.INFEASIBLE)

    def _asked(self) -> "AskedWorkers":
        if self._workers is None:
            raise InputError("the study is not open; ask inside the block of hpo.open")
        return self._workers

    def results(self) -> Results:
        """Return what is on record of the study by now; after the end, all of it."""
        return load(self._study.name, self._uri)


def _given(trial: AskedTrial) -> "Trial":
    asked_for.instance(trial, AskedTrial, "trial", "tell one that was asked for")
    return trial._trial


def open_study(
    study: Study, rounds: int | None = None, *, tracking_uri: str | None = None
) -> Asking:
    """Return a context in which the trials of a study are asked for and told.

    `rounds` are how many there shall be in all.
    """
    return Asking(study, rounds, tracking_uri)
