"""What a person sees in the terminal: progress while it runs, and tables."""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from hpo.confirmation import Confirmation, changes
from hpo.recorded import Round
from hpo.search_space import describe as describe_range
from hpo.search_space import from_table
from hpo.study import Study
from hpo.text import clean
from hpo.trial import Direction, Identity, State, Trial, TrialResult, rank
from hpo.workers import Progress as TrialProgress

if TYPE_CHECKING:  # it draws, which takes a while to import
    from hpo.evaluation import Evaluation

PLAIN_SECONDS = 2.0  # between lines of progress where no terminal shows a bar


class Console(RichConsole):
    """Prints lines and tables in which nothing but our own markup has an effect on the terminal.

    Names, choices and messages come from files, from programs and out of a shared record.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render markup without control characters."""
        return super().render_str(clean(text), **options)


class Display:
    """Shows a study as it runs: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, study: Study, file: TextIO) -> None:
        self._direction = study.direction
        # The file as it is now: trials run inline send their own output elsewhere meanwhile.
        self.console = Console(file=file, soft_wrap=not file.isatty())
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            console=self.console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, status="")
        self._title, self._trials = "", 0
        self._done = 0
        self._counts: Counter[State] = Counter()
        self._best: TrialResult | None = None
        self._running: set[Identity] = set()
        self._new = 0  # results that came in while this display watched
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def waiting(self, what: str) -> None:
        """Say what is being waited for, before the first round."""
        self._progress.update(self._task, description=escape(what), total=None, status="")

    def note(self, text: str) -> None:
        """Show a line."""
        self.console.print(escape(text))

    def round_started(self, round_: Round, trials: int, moves: Sequence[Mapping[str, Any]]) -> None:
        """Show the ranges of a round, and why they are so."""
        self._begin(f"round {round_.number}", trials)
        self.console.print(f"[bold]round {round_.number}[/bold]: {trials} trials")
        reasons = {move["name"]: move for move in moves}
        for name, distribution in round_.search_space.items():
            line = f"  {name}: {describe_range(distribution)}"
            move = reasons.get(name)
            if move is not None:
                taken = move["decision"] == "taken"
                why = move["reason"] if taken else move["decision"]
                line += f" ({move['direction']}: {why})" if taken else f" ({why})"
            self.console.print(escape(line))
        self._update()

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Say that the best trials are trained again, and how many repeats are missing."""
        self._begin("confirmation", repeats)
        again = "1 repeat" if repeats == 1 else f"{repeats} repeats"
        trials = "trial" if best == 1 else f"{best} trials"
        self.console.print(f"[bold]confirmation[/bold]: {again} of the best {trials}")
        self._update()

    def _begin(self, title: str, trials: int) -> None:
        self._title, self._trials = title, trials
        self._done, self._running, self._new = 0, set(), 0
        self._counts, self._best = Counter(), None
        self._started = time.monotonic()

    def trial_started(self, trial: Trial) -> None:
        """Count a trial as running."""
        self._running.add(trial.identity)
        self._update()

    def trial_progressed(self, progress: TrialProgress) -> None:
        """Show that time passes."""
        self._update()

    def trial_ended(self, result: TrialResult) -> None:
        """Count a result."""
        self._done += 1
        self._counts[result.state] += 1
        if not result.trial.repeat:  # the best of repeats would be luck once more
            both = [r for r in (self._best, result) if r]
            self._best = next(iter(rank(both, self._direction)), None)
        self._new += result.trial.identity in self._running
        self._running.discard(result.trial.identity)
        self._update()
        now, last = time.monotonic(), self._done == self._trials
        if not self.console.is_terminal and (last or now - self._shown > PLAIN_SECONDS):
            self._shown = now
            done = f"{self._title}: {self._done} of {self._trials} trials"
            self.console.print(escape(", ".join(part for part in (done, self._status()) if part)))

    def _update(self) -> None:
        self._progress.update(
            self._task,
            description=self._title,
            total=self._trials,
            completed=self._done,
            status=escape(self._status()),
        )

    def _status(self) -> str:
        parts = [f"{len(self._running)} running"] if self._running else []
        for state in (State.PRUNED, State.DIVERGED, State.FAILED):
            count = self._counts[state]
            parts += [f"{count} {state.value}"] if count else []
        if self._best is not None:
            parts.append(f"best {self._best.value:.4g} (trial {self._best.trial.number})")
        left = self._trials - self._done
        if self._new and left:
            seconds = (time.monotonic() - self._started) / self._new * left
            parts.append(f"about {duration(seconds)} left")
        return ", ".join(parts)


class Retraining:
    """Shows how far the training of the best trials is, as `Display` does, on `file`."""

    def __init__(self, file: TextIO) -> None:
        self._console = Console(file=file, soft_wrap=not file.isatty())
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TextColumn("epochs"), console=self._console, transient=True,
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
        """Show an epoch, where the last one was shown is a while ago."""
        name = f"training trial {trial.number} of round {trial.round}"
        self._progress.update(self._task, description=name, total=epochs, completed=epoch)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._shown > PLAIN_SECONDS:
            self._shown = now
            self._console.print(f"{name}: {epoch} of {epochs} epochs")


def duration(seconds: float) -> str:
    """Return a duration as a person says it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def best_trials(
    results: Sequence[TrialResult],
    metric: str,
    known: Mapping[tuple[int, int], Confirmation] | None = None,
) -> Table:
    """Return a table of trials, in the order given, with the means of those that are `known`."""
    names = list(dict.fromkeys(name for r in results for name in r.trial.hyperparameters))
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("round", "trial", metric, *(("mean", "±") if known else ()), "epoch", *names):
        grid.add_column(escape(heading), justify="right")
    for r in results:
        values = (r.trial.hyperparameters.get(name, "") for name in names)
        means: tuple[str, ...] = ()
        value = r.value
        if known:
            confirmed = known.get((r.trial.round, r.trial.number))
            means = _mean(confirmed) if confirmed else ("", "")
            value = confirmed.found.value if confirmed else value
        grid.add_row(
            str(r.trial.round), str(r.trial.number), f"{value:.4f}", *means, str(r.epoch),
            *(escape(shown(value)) for value in values),
        )
    return grid


def confirmation_parts(
    trials: Sequence[Confirmation], metric: str, direction: Direction
) -> list[Table | str]:
    """Return what came of the repeats, part by part."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("round", "trial", f"{metric} found", "mean", "±", "repeats"):
        grid.add_column(escape(heading), justify="right")
    for trial in trials:
        count = str(len(trial.values))
        grid.add_row(
            str(trial.found.trial.round), str(trial.found.trial.number),
            f"{trial.found.value:.4f}", *_mean(trial),
            count if trial.is_sound else f"{count} of {len(trial.repeats)}",
        )
    lines = changes(trials, direction) or ["the order stays as it was found"]
    return [grid, "", *map(escape, lines)]


def _mean(trial: Confirmation) -> tuple[str, str]:
    """Return the mean of the repeats and its standard error, empty where there is none."""
    numbers = (trial.mean, trial.standard_error)
    return tuple("" if math.isnan(n) else f"{n:.4f}" for n in numbers)  # type: ignore[return-value]


def moves_table(moves: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of the proposed ranges, from moves as plain values."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("hyperparameter", "range now", "next range", "", "factor", "p", "why"):
        grid.add_column(heading, overflow="fold")
    for move in moves:
        grid.add_row(
            escape(move["name"]),
            escape(describe_range(from_table(move["old"]))),
            escape(describe_range(from_table(move["new"]))),
            move["direction"],
            f"{move['factor']:.2g}",
            "" if move["evidence"] is None else f"{move['evidence']:.1g}",
            escape(move["reason"]),
        )
    return grid


def rounds_table(rounds: Sequence[Mapping[str, Any]], ranges: Sequence[Mapping[str, str]]) -> Table:
    """Return a table of rounds: their ranges, counts and best values."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    names = list(dict.fromkeys(name for space in ranges for name in space))
    counts = ("trials", "complete", "pruned", "diverged", "failed")
    for heading in ("round", *names, *counts, "best"):
        grid.add_column(escape(heading), justify="right")
    for round_, space in zip(rounds, ranges, strict=True):
        best = round_["best"]
        grid.add_row(
            str(round_["round"]),
            *(escape(space.get(name, "")) for name in names),
            *(str(round_[count]) for count in counts),
            f"{best['value']:.4f}" if best else "",
        )
    return grid


def evaluation_tables(evaluation: "Evaluation") -> list[Table | str]:
    """Return what came of a look at the test set, part by part."""
    score, members = evaluation.score, evaluation.members
    parts: list[Table | str] = [f"[bold]test set[/bold]: {escape(evaluation.look.result)}"]
    if evaluation.look.number > 1:
        parts.append(
            f"[bold]repeated[/bold]: look {evaluation.look.number} at the test set; where an "
            "earlier one had any influence, the result is too good"
        )
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("round", "trial", "epochs", *(f"test {name}" for name in score.metrics)):
        grid.add_column(heading, justify="right")
    for member in members:
        values = (f"{interval.value:.4f}" for interval in member.score.metrics.values())
        grid.add_row(
            str(member.trial.round), str(member.trial.number), str(member.epochs), *values
        )
    parts += ["", grid]
    if evaluation.beats_members is not None:
        verdict = "better than" if evaluation.beats_members else "not better than"
        parts.append(
            f"the ensemble of {len(members)} is {verdict} its members on average "
            f"({score.metric} {evaluation.mean_of_members:.4f})"
        )
    if score.classes:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("class", "precision", "recall", "rows"):
            grid.add_column(heading, justify="right")
        for result in score.classes:
            shares = (result.precision, result.recall)
            grid.add_row(
                escape(result.label), *("" if s is None else f"{s:.4f}" for s in shares),
                str(result.rows),
            )
        parts += ["", grid]
    return parts


def shown(value: object) -> str:
    """Return a hyperparameter as a person reads it: four digits of a float."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
