"""Where a study runs: its record, its workers, and its display."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.api.asked_for import instance, whole_or_none
from hpo.errors import InputError

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    from hpo.data.folds import Held
    from hpo.display.watching import Watching
    from hpo.study import StudyFile
    from hpo.trial import Progress
    from hpo.workers.attempt import Job, Stops, Workers


@dataclass(frozen=True)
class Placement:
    """Where trials run: by default on a local Ray that uses all CPUs.

    With `inline`, trials run in this process, without Ray. `ray_address` is that of a running Ray
    cluster. `workers` is the number of CPUs for a local Ray.
    """

    inline: bool = False
    ray_address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        instance(self.inline, bool, "inline", "True or False")
        if self.ray_address is not None:
            instance(self.ray_address, str, "ray_address")
        whole_or_none(self.workers, "workers")

    def start(
        self,
        study: "StudyFile",
        job: "Job",
        data: "Held",
        show: "Callable[[Progress], None]",
        stops: "Stops",
    ) -> "Workers":
        """Start the workers; raise InputError if they cannot do what the study asks for."""
        from hpo.resources import NotHere
        from hpo.told import TOLD, refuse_to_train

        if study.objective.name == TOLD:
            refuse_to_train(study.path)
        if self.inline and study.round.fresh_process:
            raise InputError(
                f"{study.path}: round.fresh_process: cannot be combined with --inline (in Python: "
                "inline=True), which trains all trials in this process; drop one of the two"
            )
        try:
            if self.inline:
                from hpo.workers.inline import InlineWorkers

                return InlineWorkers(job, data, show, stops)
            from hpo.workers.ray import RayWorkers

            return RayWorkers(
                job, data, address=self.ray_address, workers=self.workers, stops=stops
            )
        except NotHere as error:
            raise InputError(f"{study.path}: {error}") from error


@dataclass(frozen=True)
class Site:
    """Where a study runs, and its display.

    `interrupted` is called when the user stops it, and returns how to resume.
    """

    tracking_uri: str
    placement: Placement
    display: "Watching"
    interrupted: Callable[[], str]


@contextlib.contextmanager
def stopping_on_termination() -> Iterator[Callable[[], None]]:
    """Let SIGTERM, which cluster services send, stop the study like Ctrl-C, until the end.

    Yields a function that sets this up again after other code has set a handler. Only the main
    thread can; other threads do nothing.
    """

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def set_up() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop)

    before = signal.getsignal(signal.SIGTERM)
    set_up()
    try:
        yield set_up
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)
