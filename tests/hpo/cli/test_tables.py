"""Tables for any terminal: no number is cut or wrapped, and what matters most is shown first."""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from rich.text import Text

from hpo import wording
from hpo.cli.tables import (
    MovesTable,
    best_trials,
    confirmation_parts,
    evaluation_tables,
    no_best,
    own_evaluation_parts,
    rounds_table,
)
from hpo.display import console
from hpo.distributions import FloatDistribution, Value
from hpo.evaluation import Evaluation, Member
from hpo.moves import Move
from hpo.own_evaluation import OwnEvaluation
from hpo.record.values import Look
from hpo.scores import ClassResult, Interval, Score
from hpo.search.confirmation import Confirmation
from hpo.trial import State, TrialId, TrialResult
from tests.hpo.display.shown import LONG, WIDTHS, printed, trials


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
    more = re.fullmatch(r"(\d+) more columns?: --wide", last)
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
    assert bool(re.search("more columns?: --wide", output)) == (
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
    first, second = (line.split() for line in shown.splitlines()[:2])  # two lines make more room
    assert second[:3] == ["round", "trial", "loss"]
    names = [f"rate_{name.removeprefix('rate_')}" for name in second[3:]]
    assert set(first) == {"rate_"}
    assert {"rate_7", "rate_29", "rate_41"} < set(names)
    assert "rate_0" in names  # and then those of the file's order
    assert shown.splitlines()[-1] == f"{61 - len(names)} more columns: --wide"


def test_one_that_matters_more_is_worth_a_heading_on_two_lines() -> None:
    results = [
        replace(r, trial=replace(r.trial, hyperparameters={"depth": 3, "learning_rate": 0.0123}))
        for r in trials(2)[:3]
    ]
    table = best_trials(results, "validation_accuracy", order=["learning_rate", "depth"])
    seen = ["learning" in printed(width, table) for width in range(30, 70)]
    assert seen == sorted(seen)  # once there is room for it, it is there
    assert any(seen)
    narrow = printed(30 + seen.index(True), table)
    assert "depth" not in narrow  # though that alone would fit on a heading of one line


def test_without_a_complete_trial_it_says_how_they_came_out() -> None:
    first, second, third, *_ = trials(1)
    diverged = [replace(r, state=State.DIVERGED, value=None) for r in (first, second)]
    failed = replace(third, state=State.FAILED, value=None)
    assert no_best([*diverged, failed]) == "no trial is complete: 2 diverged, 1 failed"
    assert no_best([]) == "no trial has ended yet"


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
        {"round": n, "trials": 1000 + n, "complete": 990, "pruned": 0, "stopped": 0, "diverged": 7,
         "infeasible": 0, "failed": 0,
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
    left_out = bool(re.search("more columns?: --wide", output))
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


def test_moves_are_paragraphs_where_there_is_no_room_and_names_are_no_markup() -> None:
    old, new = FloatDistribution(0.0, 1.0), FloatDistribution(0.25, 0.75)
    moves = MovesTable([
        Move("[b]rate\nx", old, new, "narrowed", 0.5, "the [i]best\nfit", 0.0123),
        Move("decay", old, old, "kept", 1.0, "no fit", math.nan),
    ])
    assert [line.rstrip() for line in printed(70, moves).splitlines()] == [
        "[b]rate x: 0 to 1 → 0.25 to 0.75",
        "  narrowed (factor 0.5, p 0.0123): the [i]best fit",
        "decay: 0 to 1",
        "  kept (factor 1): no fit",
    ]
    assert [re.split("  +", line.rstrip()) for line in printed(103, moves).splitlines()] == [
        ["hyperparameter", "range", "next range", "factor", "p", "why"],
        ["[b]rate x", "0 to 1", "0.25 to 0.75", "narrowed", "0.5", "0.0123", "the [i]best fit"],
        ["decay", "0 to 1", "0 to 1", "kept", "1", "no fit"],
    ]


def shown_parts(parts: Sequence[object]) -> list[list[str]]:
    """Return what parts show, as the words of each line that are two spaces apart."""
    text = "".join(printed(console.PIPE_WIDTH, part) for part in parts)
    return [re.split("  +", line.strip()) for line in text.splitlines()]


def test_an_evaluation_shows_what_it_says_and_nothing_is_markup() -> None:
    look = Look(2, "2026-01-02T03:04:05", "accuracy [b]0.9[/b]")

    def score(accuracy: float) -> Score:
        classes = ClassResult("[red]a", 0.5, None, 3), ClassResult("b", None, 0.25, 4)
        return Score({"accuracy": Interval(accuracy, 0, 1)}, classes, np.array([[1, 2], [3, 4]]))

    members = tuple(Member(r.trial, 0.5, 7, score(0.9)) for r in trials(2)[:2])
    evaluation = Evaluation("toy", look, 7, score(0.91), members, "run", "models:/m")
    lines = shown_parts(evaluation_tables(evaluation))
    assert lines == [
        ["test set: accuracy [b]0.9[/b]"],
        ["repeated: this is evaluation 2 on the test set; if an earlier one influenced any "
         "decision, this result is too optimistic"],
        [""],
        ["round", "trial", "epochs", "test accuracy"],
        ["1", "101", "7", "0.9000"],
        ["1", "102", "7", "0.9000"],
        ["the ensemble of 2 is better than its members on average (accuracy 0.9100 vs. "
         "0.9000)"],
        [""],
        ["class", "precision", "recall", "rows"],
        ["[red]a", "0.5000", "3"],
        ["b", "0.2500", "4"],
    ]
    alone = replace(
        evaluation, look=replace(look, number=1), members=members[:1], score=Score({"r2": Interval(
            0.5, 0, 1)}),
    )
    alone = replace(alone, members=(replace(members[0], score=alone.score),))
    assert shown_parts(evaluation_tables(alone)) == [
        lines[0], [""], ["round", "trial", "epochs", "test r2"], ["1", "101", "7", "0.5000"]
    ]
    equal = replace(evaluation, score=score(0.9))
    assert shown_parts(evaluation_tables(equal))[6] == [
        "the ensemble of 2 is not better than its members on average (accuracy 0.9000 vs. "
        "0.9000)"
    ]
    own = OwnEvaluation("toy", look, {"test_x": 0.12345, "y": 2.0}, members[0].trial, 3, "run")
    assert shown_parts(own_evaluation_parts(own)) == [
        ["test: accuracy [b]0.9[/b]"],
        ["repeated: this is evaluation 2; if an earlier one influenced any decision, this "
         "result is too optimistic"],
        [""],
        ["round", "trial", "epochs", "test_x", "y"],
        ["1", "101", "3", "0.1235", "2"],
    ]
    first = replace(own, look=replace(look, number=1))
    assert len(shown_parts(own_evaluation_parts(first))) == 4


def test_a_confirmation_shows_the_means_and_what_changed() -> None:
    first, second, third = (
        replace(r, value=v) for r, v in zip(trials(2)[:3], (0.1, 0.2, 0.3), strict=True)
    )

    def again(result: TrialResult, *values: float | None) -> Confirmation:
        return Confirmation(result, tuple(
            replace(result, value=v, state=State.FAILED if v is None else State.COMPLETE)
            for v in values
        ))

    parts = confirmation_parts(
        [again(second, 0.2, 0.4), again(third, 0.5), again(first, 0.25, None)], "loss", "minimize"
    )
    assert shown_parts(parts) == [
        ["round", "trial", "loss found", "mean", "std error", "repeats"],
        ["1", "102", "0.2000", "0.3000", "0.1000", "2"],
        ["1", "103", "0.3000", "0.5000", "1"],
        ["1", "101", "0.1000", "0.2500", "1 of 2"],
        [""],
        ["trial 102 of round 1 moves up from place 2 to 1"],
        ["trial 103 of round 1 moves up from place 3 to 2"],
        ["trial 101 of round 1 drops from place 1 to 3"],
        ["trial 101 of round 1 ranks last: 1 of its 2 repeats failed"],
    ]
    assert confirmation_parts([again(first, 0.1)], "loss", "minimize")[1:] == [
        "", "the order of the trials has not changed"
    ]


def test_states_that_never_came_up_are_left_out_first() -> None:
    rounds = [
        {"round": 1, "trials": 7, "complete": 7, "pruned": 0, "stopped": 0, "diverged": 0,
         "infeasible": 0, "failed": 0,
         "best": None}
    ]
    table = rounds_table(rounds, [{"rate": "0.001 to 0.1"}])
    for width, left_out in ((60, 1), (50, 3)):
        lines = printed(width, table).splitlines()
        states = ["complete", "pruned", "failed"][: 4 - left_out or 1]
        assert lines[0].split() == ["round", "rate", "trials", *states, "best"]
        assert len(lines) == 2  # that they are left out is nothing to tell
