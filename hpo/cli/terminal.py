"""What a person sees in the terminal: progress while it runs, and tables."""

import math
import re
import shlex
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from rich.cells import cell_len
from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from hpo import wording
from hpo.moves import Move
from hpo.record.values import Round
from hpo.search.confirmation import Confirmation, changes
from hpo.search_space import describe as describe_range
from hpo.study import Study
from hpo.text import clean, one_line
from hpo.trial import Direction, State, Trial, TrialId, TrialResult, rank
from hpo.trial import Progress as TrialProgress

if TYPE_CHECKING:  # it draws, which takes a while to import
    from hpo.evaluation import Evaluation

PLAIN_SECONDS = 2.0  # between lines of progress where no terminal shows a bar
PIPE_WIDTH = 100_000  # a pipe has no width: what is cut there is lost to whoever reads it
BAR_WIDTH = 24
SHOWN = ("running", "waiting", "pruned", "diverged", "failed", "best", "left")  # of a status
GAP = 2  # between the columns of a table
HEADING_LINES = 3  # of a column, at most
WHY_WIDTH = 36  # of a column of reasons, at least


class Console(RichConsole):
    """Prints lines and tables in which nothing but our own markup has an effect on the terminal.

    Names, choices and messages come from files, from programs and out of a shared record.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render markup without control characters."""
        return super().render_str(clean(text), **options)

    def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
        """Render anything, and so text that was no markup too, without control characters."""
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else segment._replace(text=clean(segment.text))


def open_console(file: TextIO | None = None) -> Console:
    """Return a console on a file, standard output if None; where it is no terminal, very wide."""
    is_terminal = (file or sys.stdout).isatty()
    return Console(
        file=file, soft_wrap=not is_terminal,
        width=None if is_terminal else PIPE_WIDTH,
    )


class Display:
    """Shows a study as it runs: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, study: Study, file: TextIO) -> None:
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
        self._slots = 1  # trials that run at the same time
        self._done = 0
        self._counts: Counter[State] = Counter()
        self._best: TrialResult | None = None
        self._running: set[TrialId] = set()
        self._new = 0  # results that came in while this display watched
        self._started = self._shown = time.monotonic()
        hours = study.budget.hours
        self._ends = math.inf if hours is None else self._started + hours * 3600

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def waiting(self, what: str) -> None:
        """Say what is being waited for, before the first round."""
        self._bar.bar_width = self._room_for_bar(what, "0/?", "")
        self._progress.update(self._task, description=escape(what), total=None, status="")

    def workers_started(self, slots: int) -> None:
        """Take note of how many trials run at the same time; the others wait."""
        self._slots = slots

    def note(self, text: str) -> None:
        """Show a line."""
        self.console.print(escape(text))

    def round_started(self, round_: Round, trials: int) -> None:
        """Show the ranges of a round, and why they are so."""
        self._begin(f"round {round_.number}", "trial", trials)
        self.console.print(f"[bold]round {round_.number}[/bold]: {wording.count(trials, 'trial')}")
        decisions = {decision.move.name: decision for decision in round_.decisions}
        for name, distribution in round_.search_space.items():
            line = f"  {name}: {describe_range(distribution)}"
            decision = decisions.get(name)
            if decision is not None:
                kind = f"{decision.move.kind}: " if decision.is_taken else ""
                line += f" ({kind}{decision.reason})"
            self.console.print(escape(line))
        self._update()

    def confirmation_started(self, best: int, repeats: int) -> None:
        """Say that the best trials are trained again, and how many repeats are missing."""
        self._begin("confirmation", "repeat", repeats)
        trials = "trial" if best == 1 else f"{best} trials"
        again = wording.count(repeats, "repeat")
        self.console.print(f"[bold]confirmation[/bold]: {again} of the best {trials}")
        self._update()

    def _begin(self, title: str, noun: str, trials: int) -> None:
        self._title, self._noun, self._trials = title, noun, trials
        self._done, self._running, self._new = 0, set(), 0
        self._counts, self._best = Counter(), None
        self._started = time.monotonic()

    def trial_started(self, trial: Trial) -> None:
        """Count a trial as running."""
        self._running.add(trial.id)
        self._update()

    def trial_progressed(self, progress: TrialProgress) -> None:
        """Show that time passes."""
        self._update()

    def trial_ended(self, result: TrialResult) -> None:
        """Count a result."""
        self._done += 1
        self._trials = max(self._trials, self._done)  # fewer may be asked for than there are
        self._counts[result.state] += 1
        if not result.trial.repeat:  # the best of repeats would be luck once more
            both = [r for r in (self._best, result) if r]
            self._best = next(iter(rank(both, self._direction)), None)
        self._new += result.trial.id in self._running
        self._running.discard(result.trial.id)
        self._update()
        now, last = time.monotonic(), self._done == self._trials
        if not self.console.is_terminal and (last or now - self._shown > PLAIN_SECONDS):
            self._shown = now
            done = f"{self._title}: {self._done} of {wording.count(self._trials, self._noun)}"
            self.console.print(escape(", ".join([done, *self._parts(SHOWN)])))

    def _update(self) -> None:
        if not self.console.is_terminal:
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
            status=escape(status),
        )

    def _room_for_bar(self, *texts: str) -> int:
        """Return how wide the bar can be beside texts that shall not be cut; 0 for no room."""
        taken = 2 + sum(max(cell_len(text), 1) + 1 for text in texts)  # with the spinner
        return min(max(self.console.width - taken, 0), BAR_WIDTH)

    def _parts(self, names: Sequence[str]) -> list[str]:
        """Return those parts of the status that are named, where there is something to tell."""
        running = min(len(self._running), self._slots)
        counts = {
            "running": running, "waiting": len(self._running) - running,
            **{state.value: self._counts[state] for state in State},
        }
        parts = {name: f"{amount} {name}" for name, amount in counts.items() if amount}
        if self._best is not None and self._best.value is not None:
            parts["value"] = f"best {wording.number(self._best.value)}"
            parts["best"] = f"{parts['value']} (trial {self._best.trial.number})"
        left = self._trials - self._done
        if self._new and left:
            now = time.monotonic()
            seconds = (now - self._started) / self._new * left
            seconds = min(seconds, max(self._ends - now, 0.0))  # the budget may end it before
            parts["left"] = f"{duration(seconds)} left"
        return [parts[name] for name in names if name in parts]


class Retraining:
    """Shows how far the training of the best trials is, as `Display` does, on `file`."""

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
        """Show an epoch, where the last one was shown is a while ago."""
        name = f"training {trial.id}"
        taken = len(f"  epoch {_counted(epoch, epochs)}")
        short = name if self._console.width - taken - len(name) > 1 else f"trial {trial.number}"
        self._bar.bar_width = min(max(self._console.width - taken - len(short), 1), BAR_WIDTH)
        self._progress.update(self._task, description=short, total=epochs, completed=epoch)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._shown > PLAIN_SECONDS:
            self._shown = now
            self._console.print(f"{name}: {epoch} of {wording.count(epochs, 'epoch')}")


def _counted(done: int, total: int) -> str:
    """Return how many are done of how many, as wide as the column of a progress bar shows it."""
    return f"{done:{len(str(total))}}/{total}"


def duration(seconds: float) -> str:
    """Return a duration as a person estimates it."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 100:
        return f"about {seconds:.0f} s"
    minutes = f"about {seconds / 60:.0f} min"
    return minutes if seconds < 6000 else f"about {seconds / 3600:.1f} h"


@dataclass(frozen=True)
class Column:
    """A column of a table; `spare` says how early it is left out, 0 for never."""

    heading: str
    cells: Sequence[str]
    spare: int = 0


class Grid:
    """A table of numbers that are never cut, however narrow the terminal.

    Where it is too wide, headings become several lines if that makes room for more, and what is
    spare is left out: said below with its values in the row `example`, which `named` describes,
    and how to see all. Where even the rest has no room, each row becomes a paragraph.
    """

    def __init__(
        self, columns: Sequence[Column], remedy: str = "", named: str = "", example: int = 0
    ) -> None:
        self._columns, self._remedy = columns, remedy
        self._named, self._example = named, example

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out for the width at hand."""
        room = options.max_width
        headings = [column.heading for column in self._columns]
        shown = self._fitting(headings, room)
        folded = [_folded(column) for column in self._columns]
        if len(self._fitting(folded, room)) > len(shown):
            headings, shown = folded, self._fitting(folded, room)
        if shown:
            yield self._table([(self._columns[i], headings[i]) for i in shown])
        else:
            shown = [i for i, column in enumerate(self._columns) if not column.spare]
            for row in self._rows(shown):
                yield Text(_filled(f"- {row}", room))
        out = [i for i in range(len(self._columns)) if i not in shown]
        if out:
            values = self._rows(out)[self._example]
            yield Text(_filled(f"left out, with the values of {self._named}: {values}", room))
            yield Text(f"all of it: {self._remedy}")

    def _fitting(self, headings: Sequence[str], room: int) -> list[int]:
        """Return the columns there is room for, in order; none where what is needed has none."""
        widths = [_width(h, c.cells) for h, c in zip(headings, self._columns, strict=True)]
        spares = sorted(range(len(widths)), key=lambda i: (self._columns[i].spare, i))
        shown, left = [], room + GAP
        for i in spares:
            if widths[i] + GAP <= left:
                shown.append(i)
                left -= widths[i] + GAP
            elif not self._columns[i].spare:
                return []
        return sorted(shown)

    def _table(self, columns: Sequence[tuple[Column, str]]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for _, heading in columns:
            table.add_column(Text(heading), justify="right", no_wrap=True, vertical="bottom")
        for cells in zip(*(column.cells for column, _ in columns), strict=True):
            table.add_row(*map(Text, cells))
        return table

    def _rows(self, chosen: Sequence[int]) -> list[str]:
        """Return each row as text: headings, each with its cell, and held together with it."""
        columns = [self._columns[i] for i in chosen]
        return [
            ", ".join(
                f"{column.heading} = {cell}".replace(" ", "\u00a0")
                for column, cell in zip(columns, cells, strict=True) if cell
            )
            for cells in zip(*(column.cells for column in columns), strict=True)
        ]


def _filled(text: str, room: int) -> str:
    """Return text broken into lines, not at a no-break space; what is too long goes on after it."""
    lines = textwrap.wrap(
        text, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\u00a0", " ")


def _folded(column: Column) -> str:
    """Return the heading on a few lines where that makes the column narrower."""
    pieces = re.findall(r"[^_ ]+[_ ]*|[_ ]+", column.heading)
    wide = max(_width("", column.cells), *(cell_len(piece.rstrip()) for piece in pieces))
    lines = [""]
    for piece in pieces:
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > wide:
            lines.append("")
        lines[-1] += piece
    if len(lines) > HEADING_LINES:
        return column.heading
    return "\n".join(line.rstrip() for line in lines)


def _width(heading: str, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (*heading.split("\n"), *cells))


def _numbered(trials: Sequence[Trial]) -> list[Column]:
    """Return the columns that say which trials these are."""
    return [
        Column("round", [str(trial.round) for trial in trials]),
        Column("trial", [str(trial.number) for trial in trials]),
    ]


def best_trials(
    study: str,
    results: Sequence[TrialResult],
    metric: str,
    known: Mapping[TrialId, Confirmation] | None = None,
) -> Grid:
    """Return a table of trials, in the order given, with the means of those that are `known`."""
    confirmed = [(known or {}).get(r.trial.id) for r in results]
    values = [c.found.value if c else r.value for r, c in zip(results, confirmed, strict=True)]
    columns = [*_numbered([r.trial for r in results]), Column(metric, wording.column(values))]
    if known:
        columns += _means(confirmed)
    columns.append(Column("epoch", [str(r.epoch) for r in results]))
    for name in dict.fromkeys(name for r in results for name in r.trial.hyperparameters):
        cells = [shown(r.trial.hyperparameters.get(name, "")) for r in results]
        columns.append(Column(name, cells, spare=1))
    first = results[0].trial if results else None
    return Grid(
        columns, f"`hpo export {shlex.quote(study)} trials.csv`",
        f"trial {first.number} of round {first.round}" if first else "",
    )


def confirmation_parts(
    trials: Sequence[Confirmation], metric: str, direction: Direction
) -> list[Grid | str]:
    """Return what came of the repeats, part by part."""
    counts = [
        str(len(t.values)) if t.is_sound else f"{len(t.values)} of {len(t.repeats)}" for t in trials
    ]
    grid = Grid([
        *_numbered([trial.found.trial for trial in trials]),
        Column(f"{metric} found", wording.column([trial.found.value for trial in trials])),
        *_means(trials),
        Column("repeats", counts),
    ])
    lines = changes(trials, direction) or ["the order stays as it was found"]
    return [grid, "", *map(escape, lines)]


def _means(trials: Sequence[Confirmation | None]) -> list[Column]:
    """Return the means of repeats and their standard errors, empty where there is none."""
    pairs = [(t.mean, t.standard_error) if t else (None, None) for t in trials]
    cells = wording.column([number for pair in pairs for number in pair])
    return [Column("mean", cells[::2]), Column("±", cells[1::2])]


class MovesTable:
    """The proposed ranges: a table, or a paragraph for each move."""

    def __init__(self, moves: Sequence[Move]) -> None:
        self._rows = [
            (
                one_line(move.name),
                one_line(describe_range(move.old)),
                one_line(describe_range(move.new)),
                move.kind,
                wording.number(move.factor),
                _p_value(move.p_value),
                one_line(move.reason),
            )
            for move in moves
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the moves out for the width at hand."""
        headings = ("hyperparameter", "range now", "next range", "", "factor", "p", "why")
        others = list(zip(*self._rows, strict=True))[:-1]
        widths = [_width(h, cells) for h, cells in zip(headings, others, strict=False)]
        if sum(widths) + GAP * len(widths) + WHY_WIDTH > options.max_width:
            for name, now, then, kind, factor, p, why in self._rows:
                ranges = now if now == then else f"{now} → {then}"
                tested = f", p {p}" if p else ""
                yield Text.assemble((name, "bold"), f": {ranges}")
                yield Padding(Text(f"{kind} (factor {factor}{tested}): {why}"), (0, 0, 0, 2))
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in headings:
            table.add_column(heading, no_wrap=heading != "why", overflow="fold")
        for row in self._rows:
            table.add_row(*map(Text, row))
        yield table


def _p_value(p: float) -> str:
    return "" if math.isnan(p) else wording.p_value(p).removeprefix("= ")


def rounds_table(
    study: str, rounds: Sequence[Mapping[str, Any]], ranges: Sequence[Mapping[str, str]]
) -> Grid:
    """Return a table of rounds: their ranges, counts and best values."""
    columns = [Column("round", [str(round_["round"]) for round_ in rounds])]
    columns += [
        Column(name, [space.get(name, "") for space in ranges], spare=1)
        for name in dict.fromkeys(name for space in ranges for name in space)
    ]
    for name in ("trials", *State):
        cells = [str(round_[name]) for round_ in rounds]
        never = name in (State.PRUNED, State.DIVERGED, State.FAILED) and set(cells) == {"0"}
        columns.append(Column(name, cells, spare=2 if never else 0))
    best = [round_["best"]["value"] if round_["best"] else None for round_ in rounds]
    columns.append(Column("best", wording.column(best)))
    remedy = f"`hpo show {shlex.quote(study)} --json`"
    return Grid(columns, remedy, f"round {rounds[-1]['round']}", example=-1)


def evaluation_tables(evaluation: "Evaluation") -> list[Grid | str]:
    """Return what came of a look at the test set, part by part."""
    score, members = evaluation.score, evaluation.members
    parts: list[Grid | str] = [f"[bold]test set[/bold]: {escape(evaluation.look.result)}"]
    if evaluation.look.number > 1:
        parts.append(
            f"[bold]repeated[/bold]: look {evaluation.look.number} at the test set; where an "
            "earlier one had any influence, the result is too good"
        )
    grid = Grid([
        *_numbered([member.trial for member in members]),
        Column("epochs", [str(member.epochs) for member in members]),
        *(
            Column(f"test {name}", wording.column([m.score.metrics[name].value for m in members]))
            for name in score.metrics
        ),
    ])
    parts += ["", grid]
    if evaluation.beats_members is not None:
        verdict = "better than" if evaluation.beats_members else "not better than"
        own, mean = wording.apart(score.metrics[score.metric].value, evaluation.mean_of_members)
        parts.append(
            f"the ensemble of {len(members)} is {verdict} its members on average "
            f"({score.metric} {own} against {mean})"
        )
    if score.classes:
        grid = Grid([
            Column("class", [result.label for result in score.classes]),
            Column("precision", wording.column([result.precision for result in score.classes])),
            Column("recall", wording.column([result.recall for result in score.classes])),
            Column("rows", [str(result.rows) for result in score.classes]),
        ])
        parts += ["", grid]
    return parts


def shown(value: object) -> str:
    """Return a hyperparameter as a person reads it: four significant digits of a float."""
    return wording.number(value) if isinstance(value, float) else one_line(str(value))
