"""The tables that commands print: best trials, rounds, proposed ranges, evaluations."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import ConsoleOptions, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hpo import wording
from hpo.cli.grid import GAP, Column, Grid, width
from hpo.display.console import Console, Hanging, shown
from hpo.distributions import describe as describe_range
from hpo.moves import Move, of_wholes
from hpo.search.confirmation import Confirmation, changes
from hpo.search.extension import Extension
from hpo.search_space import packed, whole_name
from hpo.text import one_line
from hpo.trial import Direction, State, Trial, TrialId, TrialResult

if TYPE_CHECKING:  # it draws, which takes a while to import
    from hpo.evaluation import Evaluation
    from hpo.own_evaluation import OwnEvaluation

WHY_WIDTH = 36  # of a column of reasons, at least
WIDE = "--wide"  # the option that leaves nothing out


def _numbered(trials: Sequence[Trial]) -> list[Column]:
    """Return the columns that say which trials these are."""
    return [
        Column("round", [str(trial.round) for trial in trials]),
        Column("trial", [str(trial.number) for trial in trials]),
    ]


def best_trials(
    results: Sequence[TrialResult],
    metric: str,
    known: Mapping[TrialId, Confirmation] | None = None,
    *,
    order: Sequence[str] = (),
    remedy: str = WIDE,
    whole: bool = False,
) -> Grid:
    """Return a table of trials, in the order given, with the means of those that are `known`.

    Where not all fits, the hyperparameters that come first in `order` stay, then those that come
    first in the table, and `remedy` says what shows the others; a `whole` one leaves none out.
    """
    confirmed = [(known or {}).get(r.trial.id) for r in results]
    values = [c.found.value if c else r.value for r, c in zip(results, confirmed, strict=True)]
    columns = [*_numbered([r.trial for r in results]), Column(metric, wording.column(values))]
    if any(r.parts is not None for r in results):
        errors = [r.standard_error for r in results]
        columns[-1:] = [
            Column(heading, cells) for heading, cells in _pairs(values, errors, metric)
        ]
    if known:
        columns += _means(confirmed, "repeats: " if len(columns) > 3 else "")
    values_of = [packed(r.trial.hyperparameters) for r in results]
    names = dict.fromkeys(name for given in values_of for name in given)
    spares = _spares(names, order)
    columns.append(Column("epoch", [str(r.epoch) for r in results], spare=len(spares) + 1))
    for name in names:
        cells = _cells([given.get(name, "") for given in values_of])
        columns.append(Column(name, cells, spare=spares[name]))
    return Grid(columns, remedy, whole=whole)


def no_best(results: Sequence[TrialResult]) -> str:
    """Return why there is no best trial: how the trials that ended came out."""
    states = [result.state for result in results]
    counts = [f"{states.count(state)} {state.value}" for state in State if state in states]
    return f"no trial is complete: {', '.join(counts)}" if counts else "no trial has ended yet"


def _spares(names: Iterable[str], order: Sequence[str]) -> dict[str, int]:
    """Return how early the column of each hyperparameter is left out: the last in order first."""
    wholes = list(dict.fromkeys(map(whole_name, order)))
    placed = sorted(names, key=lambda n: wholes.index(n) if n in wholes else len(wholes))
    return {name: place for place, name in enumerate(placed, start=1)}


def _cells(values: Sequence[object]) -> list[str]:
    """Return hyperparameters as a person reads them, floats with four significant digits.

    Round ones stay short, such as the choices 0.1 and 0.5, unless there are others among them.
    """
    cells = [shown(value) for value in values]
    floats = {i: wording.four_digits(v) for i, v in enumerate(values) if isinstance(v, float)}
    if any(cells[i] == text for i, text in floats.items()):
        return [floats.get(i, cell) for i, cell in enumerate(cells)]
    return cells


def confirmation_parts(
    trials: Sequence[Confirmation], metric: str, direction: Direction
) -> list[Grid | str]:
    """Return the results of the repeats, part by part."""
    counts = [
        str(len(t.values)) if t.is_sound else f"{len(t.values)} of {len(t.repeats)}" for t in trials
    ]
    grid = Grid([
        *_numbered([trial.found.trial for trial in trials]),
        Column(f"{metric} found", wording.column([trial.found.value for trial in trials])),
        *_means(trials),
        Column("repeats", counts),
    ])
    lines = changes(trials, direction) or ["the order of the trials has not changed"]
    return [grid, "", *map(escape, lines)]


def extension_table(extensions: Sequence[Extension], metric: str) -> Grid:
    """Return what trials came to that were trained longer, beside what they came to before."""
    values = wording.column([v for e in extensions for v in (e.found.value, e.longer.value)])
    longer = [
        value or e.longer.state.value for value, e in zip(values[1::2], extensions, strict=True)
    ]
    return Grid([
        *_numbered([e.found.trial for e in extensions]),
        Column(metric, values[::2]),
        Column("epochs", [str(e.found.epochs) for e in extensions]),
        Column("extended", longer, words=True),
        Column("extended epochs", [str(e.longer.epochs) for e in extensions]),
    ])


def _pairs(
    values: Sequence[float | None], errors: Sequence[float | None], heading: str = "mean"
) -> list[tuple[str, list[str]]]:
    """Return the columns of means and their standard errors, with the same digits."""
    cells = wording.column([n for pair in zip(values, errors, strict=True) for n in pair])
    return [(heading, cells[::2]), ("std error", cells[1::2])]


def _means(trials: Sequence[Confirmation | None], of: str = "") -> list[Column]:
    """Return the means of repeats and their standard errors, empty where there is none."""
    pairs = _pairs(
        [t.mean if t else None for t in trials], [t.standard_error if t else None for t in trials]
    )
    return [Column(of + heading, cells) for heading, cells in pairs]


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
            for move in of_wholes(moves)
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the moves out for the width at hand."""
        headings = ("hyperparameter", "range", "next range", "", "factor", "p", "why")
        others = list(zip(*self._rows, strict=True))[:-1]
        widths = [width(h, cells) for h, cells in zip(headings, others, strict=False)]
        if sum(widths) + GAP * len(widths) + WHY_WIDTH > options.max_width:
            for name, now, then, kind, factor, p, why in self._rows:
                ranges = now if now == then else f"{now} → {then}"
                tested = f", p {p}" if p else ""
                yield Hanging(Text.assemble((name, "bold"), f": {ranges}"))
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
    rounds: Sequence[Mapping[str, Any]],
    ranges: Sequence[Mapping[str, str]],
    *,
    order: Sequence[str] = (),
    whole: bool = False,
) -> Grid:
    """Return a table of rounds: their ranges, counts and best values.

    `order` and `whole` are as of `best_trials`.
    """
    columns = [Column("round", [str(round_["round"]) for round_ in rounds])]
    names = dict.fromkeys(name for space in ranges for name in space)
    spares = _spares(names, order)
    columns += [
        Column(name, [space.get(name, "") for space in ranges], spare=spares[name])
        for name in names
    ]
    for name in ("trials", *State):
        cells = [str(round_[name]) for round_ in rounds]
        never = name in {*State} - {State.COMPLETE} and set(cells) == {"0"}
        if never and not whole and name in (State.STOPPED, State.INFEASIBLE):
            continue  # most studies have none
        spare = len(spares) + 1 if never else 0
        columns.append(Column(name, cells, spare=spare, empty=never))
    best = [round_["best"]["value"] if round_["best"] else None for round_ in rounds]
    columns.append(Column("best", wording.column(best)))
    return Grid(columns, WIDE, whole=whole)


def studies_table(studies: Sequence[Mapping[str, Any]]) -> Grid:
    """Return a table of studies, from their summaries: when, how far, the best value, and the goal.

    The time is that of the last result, on this machine's clock.
    """
    ends = [s["last"] and datetime.fromisoformat(s["last"]).astimezone() for s in studies]
    best = [s["best"]["value"] if s["best"] else None for s in studies]
    goals = [f"{s['direction'] or ''} {one_line(s['metric'] or '')}".strip() for s in studies]
    running = [one_line(s["run_by"] or "") for s in studies]
    return Grid([
        Column("study", [one_line(s["study"]) for s in studies], words=True),
        Column("last result", [f"{end:%Y-%m-%d %H:%M}" if end else "" for end in ends], spare=1),
        Column("state", [s["state"] for s in studies], words=True),
        *([Column("run by", running, words=True)] if any(running) else []),
        Column("trials", [str(sum(r["trials"] for r in s["rounds"])) for s in studies], spare=2),
        Column("best", ["" if v is None else wording.four_digits(v) for v in best]),
        Column("goal", goals, words=True),
    ], "--json")


def evaluation_tables(evaluation: "Evaluation") -> list[Grid | str]:
    """Return the result of a look at the test set, part by part."""
    score, members = evaluation.score, evaluation.members
    parts: list[Grid | str] = [f"[bold]test set[/bold]: {escape(evaluation.look.result)}"]
    if evaluation.look.number > 1:
        parts.append(
            f"[bold]repeated[/bold]: this is evaluation {evaluation.look.number} on the test set; "
            "if an earlier one influenced any decision, this result is too optimistic"
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
            f"({score.metric} {own} vs. {mean})"
        )
    if score.classes:
        grid = Grid([
            Column("class", [result.label for result in score.classes], words=True),
            Column("precision", wording.column([result.precision for result in score.classes])),
            Column("recall", wording.column([result.recall for result in score.classes])),
            Column("rows", [str(result.rows) for result in score.classes]),
        ])
        parts += ["", grid]
    return parts


def own_evaluation_parts(evaluation: "OwnEvaluation") -> list[Grid | str]:
    """Return the result of the objective's own evaluation of its best trial, part by part."""
    parts: list[Grid | str] = [f"[bold]test[/bold]: {escape(evaluation.look.result)}"]
    if evaluation.look.number > 1:
        parts.append(
            f"[bold]repeated[/bold]: this is evaluation {evaluation.look.number}; if an earlier "
            "one influenced any decision, this result is too optimistic"
        )
    grid = Grid([
        *_numbered([evaluation.trial]),
        Column("epochs", [str(evaluation.epochs)]),
        *(Column(name, [wording.number(value)]) for name, value in evaluation.metrics.items()),
    ])
    return [*parts, "", grid]
