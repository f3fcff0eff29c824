"""Tables for any terminal: no number is cut or wrapped, and what matters most is shown first."""

import io
import math
import re
from dataclasses import replace

import pytest
from rich.text import Text

from hpo import wording
from hpo.cli import console
from hpo.cli.tables import MovesTable, best_trials, rounds_table
from hpo.moves import Move
from hpo.search.confirmation import Confirmation
from hpo.search_space import FloatDistribution, Value
from hpo.trial import TrialId, TrialResult
from tests.hpo.cli.shown import LONG, WIDTHS, printed, trials


def numeric(count: int) -> list[TrialResult]:
    """Return ten trials with so many numbers as hyperparameters, under names without digits."""
    results = []
    for result in trials(2):
        number = result.trial.number
        values: dict[str, Value] = {
            f"{'rate' if i % 3 else 'units_of_layer'}_{'abcdefgh'[i // 8]}{'abcdefgh'[i % 8]}":
            number * 3.4567 ** (i % 19 - 9) if i % 3 else number * 7**i % 2000
            for i in range(count)
        }
        results.append(replace(result, trial=replace(result.trial, hyperparameters=values)))
    return results


def numbers_of(result: TrialResult) -> set[str]:
    """Return all numbers of a trial as a table writes them."""
    trial = result.trial
    texts = {str(trial.round), str(trial.number), str(result.epoch)}
    for value in (result.value, *trial.hyperparameters.values()):
        texts.add(wording.four_digits(value) if isinstance(value, float) else str(value))
    return texts


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 34, 60])
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("whole", [False, True])
def test_every_number_that_is_shown_is_whole(count: int, width: int, whole: bool) -> None:
    results = numeric(count)
    output = printed(width, best_trials(results, "validation_loss", whole=whole))
    *lines, last = output.splitlines()
    assert all(len(line) <= width for line in lines)
    more = re.fullmatch(r"(\d+) more: --wide", last)
    if not more:
        lines.append(last)
    assert not (whole and more)
    if lines[0].startswith("- "):
        assert whole
        rows = [row.replace(",", "").split() for row in "\n".join(lines)[2:].split("\n- ")]
        rows = [[word for word in row if re.match(r"[-\d]", word)] for row in rows]
    else:
        rows = [line.split() for line in lines[-len(results):]]
    columns = count + 4 - (int(more[1]) if more else 0)
    for row, result in zip(rows, results, strict=True):
        assert set(row) <= numbers_of(result)
        assert len(row) == columns >= 4
        assert {str(result.trial.number), wording.four_digits(result.value or 0.0)} < set(row)


@pytest.mark.parametrize("count", [2, 8, 60])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("confirmed", [False, True])
def test_no_number_of_the_best_trials_is_cut(count: int, width: int, confirmed: bool) -> None:
    results = trials(count)
    repeats = [replace(results[0], value=1.2e-7), replace(results[0], value=1.3e-7)]
    known = {TrialId(1, 101): Confirmation(results[0], tuple(repeats))} if confirmed else {}
    output = printed(width, best_trials(results, "validation_loss", known))
    assert "…" not in output
    words = re.findall(r"[^\s,=]+", output)
    assert [w for w in words if re.fullmatch(r"10[1-9]|110", w)][:10] == [
        str(r.trial.number) for r in results
    ]
    for result in results:
        assert wording.column([result.value])[0] in words
    assert not confirmed or {"1.250e-07", "5.000e-09"} <= set(words)
    assert ("more: --wide" in output) == (
        (count > 2 and width <= 200) or width <= (60 if confirmed else 40)
    )
    whole = printed(width, best_trials(results, "validation_loss", known, whole=True))
    joined = re.sub(r"\s", "", whole)
    for name, value in results[0].trial.hyperparameters.items():
        assert all(piece in joined for piece in re.findall("[^_]+_?", name))  # of a heading
        assert re.sub(" ", "", console.shown(value)) in joined


def test_the_hyperparameters_that_matter_most_are_shown() -> None:
    results = trials(60)
    shown = printed(80, best_trials(results, "loss", order=["rate_41", "rate_7", "rate_29"]))
    heading = shown.splitlines()[0].split()
    assert heading[:3] == ["round", "trial", "loss"]
    assert {"rate_7", "rate_29", "rate_41"} < set(heading)
    assert "rate_0" in heading  # and then those of the file's order
    assert shown.splitlines()[-1] == f"{61 - len(heading[3:])} more: --wide"


def test_floats_of_a_column_have_the_same_digits_and_round_choices_stay_short() -> None:
    results = [
        replace(r, trial=replace(r.trial, hyperparameters={"rate": rate, "share": share}))
        for r, rate, share in zip(trials(2), (0.5, 0.12345, 0.25), (0.5, 0.1, 0.25), strict=False)
    ]
    rows = [line.split() for line in printed(80, best_trials(results, "loss")).splitlines()]
    assert [row[4:] for row in rows] == [
        ["rate", "share"], ["0.5000", "0.5"], ["0.1235", "0.1"], ["0.2500", "0.25"]
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [2, 60])
@pytest.mark.parametrize("whole", [False, True])
def test_no_number_of_the_rounds_is_cut(count: int, width: int, whole: bool) -> None:
    rounds = [
        {"round": n, "trials": 1000 + n, "complete": 990, "pruned": 0, "diverged": 7, "failed": 0,
         "best": {"value": 1.2345e-7 / n} if n < 3 else None}
        for n in (1, 2, 3)
    ]
    ranges = [
        {f"rate_{i}": f"{n}.234e-06 to 0.00{i + 10}" for i in range(count)} for n in (1, 2, 3)
    ]
    output = printed(width, rounds_table(rounds, ranges, whole=whole))
    assert "…" not in output
    words = set(re.findall(r"[^\s,=]+", output))
    assert {"1001", "1002", "1003", "990", "7", "1.235e-07", "6.173e-08"} <= words
    joined = " ".join(output.split())
    left_out = "more: --wide" in output
    assert left_out or all(text in joined for text in ranges[-1].values())
    assert left_out == (not whole and (width <= 80 or (count == 60 and width <= 200)))


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_of_the_moves_is_cut(width: int) -> None:
    old, new = FloatDistribution(1.234e-6, 1e-2, log=True), FloatDistribution(3.478e-5, 1.0)
    moves = [
        Move(name, old, new, "moved", 0.12345,
             "the best 3 of 40 trials have 0.005812 to 0.008991", p_value)
        for name, p_value in (("learning_rate", 1.2345e-9), (LONG, math.nan), ("momentum", 0.0))
    ]
    output = printed(width, MovesTable(moves))
    assert "…" not in output
    joined = " ".join(output.split())
    for text in ("1.234e-06 to 0.01", "3.478e-05 to 1", "0.1235", "1.235e-09", "< 1e-99",
                 "the best 3 of 40 trials have 0.005812 to 0.008991"):
        assert text in joined


def test_a_move_takes_one_line_where_there_is_room() -> None:
    old, new = FloatDistribution(1e-6, 1e-2, log=True), FloatDistribution(1e-5, 1e-3, log=True)
    moves = [Move(name, old, new, "narrowed", 0.5, "fit", 0.01) for name in ("rate", "decay")]
    output = printed(console.PIPE_WIDTH, MovesTable(moves))
    assert [line.split()[0] for line in output.splitlines()] == ["hyperparameter", "rate", "decay"]


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_of_a_text_stand_further_in_than_the_first(width: int) -> None:
    words = " ".join(f"word{i}" for i in range(60))
    lines = printed(width, console.Hanging(Text(words), indent=2)).splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("  word0 ")
    assert all(re.match(r"    word\d", line) for line in lines[1:])
    assert " ".join(line.strip() for line in lines) == words
    if width < 400:
        assert len(lines) > 1


def test_a_command_to_type_is_never_broken() -> None:
    output = io.StringIO()
    shown = console.Console(file=output, width=40)
    console.print_next(shown, [("hpo show [x]", "a few words"), (f"hpo {'x' * 60}", "more words")])
    assert output.getvalue() == (
        "\nnext: hpo show [x]   a few words\n"
        f"      hpo {'x' * 60}\n        more words\n"
    )
