"""Progress of a study in the terminal while it runs."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from hpo import wording
from hpo.display.console import Hanging, duration, open_console, took
from hpo.distributions import describe as describe_range
from hpo.record.values import Round
from hpo.search_space import parts_of, wholes
from hpo.study import StudyFile
from hpo.trial import Progress as TrialProgress
from hpo.trial import State, Trial, TrialId, TrialResult, rank

PLAIN_SECONDS = 2.0  # between lines of progress where no terminal shows a bar
BAR_WIDTH = 24
SHOWN = (  # of a status
    "running", "waiting", "pruned", "stopped", "diverged", "infeasible", "failed", "best", "left",
)


class Display:
    """Shows a running study: a progress bar on a terminal, an occasional line elsewhere."""

    def __init__(self, study: StudyFile, file: TextIO) -> None:
        self._direction = study.direction
        # The file as it is now: trials run inline send their own output elsewhere meanwhile.
        self.console = open_console(file)
        self._bar = BarColumn(bar_width=BAR_WIDTH)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            self._bar,
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            console=self.console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, status="")
        self._title, self._noun, self._trials = "", "trial", 0
        self._slots: Callable[[], int] = lambda: 1  # trials that run at the same time
        self._done = 0
        self._counts: Counter[State] = Counter()
        self._best: TrialResult | None = None
        self._running: set[TrialId] = set()
        self._begun: set[TrialId] = set()  # trials, while this display watched
        self._new = 0  # results that came in meanwhile
        self._started = self._shown = time.monotonic()
        hours = study.budget.hours
        self._ends = math.inf if hours is None else self._started + hours * 3600

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def waiting(self, what: str) -> None:
        """Show what is being waited for, before the first round."""
        self._bar.bar_width = self._room_for_bar(what, "0/?", "")
        self._progress.update(self._task, description=escape(what), total=None, status="")

    def workers_started(self, slots: Callable[[], int]) -> None:
        """Set the function that says how many trials run at the same time; the others wait."""
        self._slots = slots

    def note(self, text: str) -> None:
        """Show a line."""
        self.console.print(escape(text))

    def round_started(self, round_: Round, trials: int) -> None:
        """Show the ranges of a round, and the reasons for them."""
        self._begin(f"round {round_.number}", "trial", trials)
        self.console.print(f"[bold]round {round_.number}[/bold]: {wording.count(trials, 'trial')}")
        decisions = {decision.move.name: decision for decision in round_.decisions}
        for name, distribution in wholes(round_.search_space).items():
            line = f"{name}: {describe_range(distribution)}"
            decision = decisions.get((parts_of(name, round_.search_space) or [name])[0])
            if decision is not None:
                kind = f"{decision.move.kind}: " if decision.is_taken else ""
                line += f" ({kind}{decision.reason})"
            self.console.print(Hanging(Text(line), indent=2))
        self._update()

    def round_ended(self, round_: Round, results: Sequence[TrialResult]) -> None:
        """Show nothing; the line after its last trial says how it ended."""

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Say that the best trials are retrained, and how many repeats are missing."""
        self._begin("confirmation", "repeat", repeats)
        trials = "trial" if best == 1 else f"{best} trials"
        again = wording.count(repeats, "repeat")
        self.console.print(f"[bold]confirmation[/bold]: {again} of the best {trials}")
        self._update()

    def extension_started(self, trials: int, epochs: int) -> None:
        """Say that the best trials are trained for more epochs, and how many in total."""
        self._begin("extension", "trial", trials)
        best = "trial" if trials == 1 else f"{trials} trials"
        self.console.print(f"[bold]extension[/bold]: training the best {best} up to epoch {epochs}")
        self._update()

    def _begin(self, title: str, noun: str, trials: int) -> None:
        self._title, self._noun, self._trials = title, noun, trials
        self._done, self._running, self._begun, self._new = 0, set(), set(), 0
        self._counts, self._best = Counter(), None
        self._started = time.monotonic()

    def trial_started(self, trial: Trial) -> None:
        """Count a trial as running; an added trial is one more than planned."""
        whole = trial.id._replace(part=0)
        if trial.added and whole not in self._begun:
            self._trials += 1
        self._running.add(trial.id)
        self._begun.add(whole)
        self._update()

    def trial_progressed(self, progress: TrialProgress) -> None:
        """Show that time passes."""
        self._update()

    def trial_ended(self, result: TrialResult) -> None:
        """Count a result; for a part, only note that it ended."""
        self._running.discard(result.trial.id)
        if result.trial.part:
            self._update()
            return
        self._done += 1
        self._trials = max(self._trials, self._done)  # fewer may be asked for than there are
        self._counts[result.state] += 1
        if not result.trial.repeat:  # the best of repeats would be luck once more
            both = [r for r in (self._best, result) if r]
            self._best = next(iter(rank(both, self._direction)), None)
        self._new += result.trial.id in self._begun
        self._update()
        now, last = time.monotonic(), self._done == self._trials
        plain = self._is_plain and now - self._shown > PLAIN_SECONDS
        if plain or (last and self._new):
            self._shown = now
            done = f"{self._title}: {self._done} of {wording.count(self._trials, self._noun)}"
            parts = [done, *self._parts(SHOWN), *([took(now - self._started)] if last else [])]
            self.console.print(", ".join(parts))

    @property
    def _is_plain(self) -> bool:
        """Whether occasional lines are shown instead of a bar."""
        return not self.console.is_terminal

    def _update(self) -> None:
        if self._is_plain:
            return
        counted = _counted(self._done, self._trials)
        for names in (SHOWN, ("running", "best", "left"), ("best",), ("value",), ()):
            status = ", ".join(self._parts(names))
            self._bar.bar_width = self._room_for_bar(self._title, counted, status)
            if self._bar.bar_width:
                break
        self._progress.update(
            self._task,
            description=self._title,
            total=self._trials,
            completed=self._done,
            status=status,
        )

    def _room_for_bar(self, *texts: str) -> int:
        """Return how wide the bar can be beside texts that shall not be cut; 0 for no room."""
        taken = 2 + sum(max(cell_len(text), 1) + 1 for text in texts)  # with the spinner
        return min(max(self.console.width - taken, 0), BAR_WIDTH)

    def _parts(self, names: Sequence[str]) -> list[str]:
        """Return the named parts of the status that are not empty."""
        running = min(len(self._running), self._slots())
        counts = {
            "running": running, "waiting": len(self._running) - running,
            **{state.value: self._counts[state] for state in State},
        }
        parts = {name: f"{amount} {name}" for name, amount in counts.items() if amount}
        if self._best is not None and self._best.value is not None:
            parts["value"] = f"best {wording.four_digits(self._best.value)}"
            parts["best"] = f"{parts['value']} (trial {self._best.trial.number})"
        left = self._trials - self._done
        if self._new and left:
            now = time.monotonic()
            seconds = (now - self._started) / self._new * left
            seconds = min(seconds, max(self._ends - now, 0.0))  # the budget may end it before
            parts["left"] = f"{duration(seconds)} left"
        return [parts[name] for name in names if name in parts]


class Retraining:
    """Shows the retraining of the best trials, like `Display`, on `file`."""

    def __init__(self, file: TextIO) -> None:
        self._console = open_console(file)
        self._bar = BarColumn(bar_width=BAR_WIDTH)
        self._progress = Progress(
            TextColumn("{task.description}"), self._bar, TextColumn("epoch"),
            MofNCompleteColumn(), console=self._console, transient=True,
            redirect_stdout=False, redirect_stderr=False, disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)
        self._shown = time.monotonic()

    def __enter__(self) -> "Retraining":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Show a line."""
        self._console.print(escape(text))

    def trained(self, trial: Trial, epoch: int, epochs: int) -> None:
        """Show the current epoch, but not too often."""
        name = f"training {trial.id}"
        taken = len(f"  epoch {_counted(epoch, epochs)}")
        short = name if self._console.width - taken - len(name) > 1 else f"trial {trial.number}"
        self._bar.bar_width = min(max(self._console.width - taken - len(short), 1), BAR_WIDTH)
        self._progress.update(self._task, description=short, total=epochs, completed=epoch)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._shown > PLAIN_SECONDS:
            self._shown = now
            self._console.print(f"{name}: {epoch} of {wording.count(epochs, 'epoch')}")


class Counting:
    """Shows a count such as "copying: 12 of 40 runs" on `file`."""

    def __init__(self, what: str, noun: str, file: TextIO) -> None:
        self._what, self._noun = what, noun
        self._console = open_console(file)
        self._bar = BarColumn(bar_width=BAR_WIDTH)
        self._progress = Progress(
            TextColumn("{task.description}"), self._bar, MofNCompleteColumn(),
            TextColumn(f"{noun}s"),
            console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task(what, total=None)
        self._shown = time.monotonic()

    def __enter__(self) -> "Counting":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, done: int, total: int) -> None:
        """Show how many are done, but not too often."""
        taken = len(f"{self._what}  {_counted(done, total)} {self._noun}s ")
        self._bar.bar_width = min(max(self._console.width - taken, 1), BAR_WIDTH)
        self._progress.update(self._task, total=total, completed=done)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._shown > PLAIN_SECONDS:
            self._shown = now
            self._console.print(f"{self._what}: {done} of {wording.count(total, self._noun)}")


def _counted(done: int, total: int) -> str:
    """Return "done/total", as wide as the column of a progress bar shows it."""
    return f"{done:{len(str(total))}}/{total}"
