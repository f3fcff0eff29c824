"""The figures show every trial, round and move where it belongs, whatever the study is like."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray

from hpo import wording
from hpo.errors import InputError
from hpo.moves import Move
from hpo.record.tracking import Tracking
from hpo.record.values import Recorded, Round
from hpo.report import figures
from hpo.search.narrowing import narrow
from hpo.search_space import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
)
from hpo.trial import Direction, State, Trial, TrialResult
from tests.fixtures import client_of, hpo, round_settings, write_study

NAMES = {"learning_curves", "ranges", "map", "best_so_far", "proposal"}
RATES: Mapping[str, Distribution] = {
    "learning_rate": FloatDistribution(1e-6, 1e-2, log=True),
    "weight_decay": FloatDistribution(1e-8, 1e-4, log=True),
}
NARROWED: Mapping[str, Distribution] = {
    "learning_rate": FloatDistribution(1e-4, 3e-3, log=True),
    "weight_decay": FloatDistribution(1e-8, 1e-4, log=True),
}
MIXED: Mapping[str, Distribution] = {
    "learning_rate": FloatDistribution(1e-4, 1.0, log=True),
    "optimizer": CategoricalDistribution(("sgd", "momentum", "adam")),
    "hidden_sizes": CategoricalDistribution(((100,), (100, 100), (50,) * 6)),
    "layers": IntegerDistribution(1, 4),
    "batch_size": IntegerDistribution(16, 256, log=True),
    "a_name_that_goes_on_and_on_until_nobody_wants_to_read_$x$_any_more": FloatDistribution(
        0.0, 1.0, step=0.25
    ),
}


def study(
    spaces: Sequence[Mapping[str, Distribution]],
    trials: int,
    metric: str = "validation_accuracy",
    direction: Direction = "maximize",
    states: Sequence[State] = (State.COMPLETE,),
    epochs: int = 5,
) -> Recorded:
    """Return rounds of so many trials whose states take turns; value and seed are made up."""
    generator = np.random.default_rng(0)
    settings = round_settings(metric=metric, direction=direction)
    training = metric.replace("validation", "training")
    results = []
    for number, space in enumerate(spaces, start=1):
        for i in range(1, trials + 1):
            units = generator.random(len(space))
            values = {n: d.from_unit(u) for (n, d), u in zip(space.items(), units, strict=True)}
            quality = 0.95 - 0.8 * abs(float(units[0]) - 0.6) + float(generator.normal(0, 0.01))
            end = quality if direction == "maximize" else 10 ** (2 - 3 * quality)
            curve = [end * e / epochs for e in range(1, epochs + 1)]
            if direction == "minimize":
                curve = [end * (1 + 30 / e - 30 / epochs) for e in range(1, epochs + 1)]
            state = states[i % len(states)]
            trained = {State.COMPLETE: epochs, State.FAILED: 0}.get(state, 2)
            metrics = [{metric: value, training: value * 1.02} for value in curve[:trained]]
            value = curve[trained - 1] if state in (State.COMPLETE, State.PRUNED) else None
            results.append(
                TrialResult(
                    Trial(number, i, values, i), state, value, trained if value else None, metrics
                )
            )
    rounds = [Round(n, f"run {n}", s, settings, "", True) for n, s in enumerate(spaces, start=1)]
    return Recorded("1", rounds, results)


def moves(recorded: Recorded) -> tuple[Move, ...]:
    last = recorded.rounds[-1]
    return narrow(last.search_space, recorded.results, last.settings.direction)


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() != "colors"]


def points(axes: Axes, label: str) -> NDArray[np.float64]:
    """Return the points with a label, as rows of x and y."""
    found = [
        np.asarray(drawn.get_offsets())
        for drawn in axes.collections
        if isinstance(drawn, PathCollection) and str(drawn.get_label()).startswith(label)
    ]
    return np.concatenate(found) if found else np.empty((0, 2))


def xs(line: Line2D) -> list[float]:
    return [float(x) for x in np.asarray(line.get_xdata())]


def ys(line: Line2D) -> list[float]:
    return [float(y) for y in np.asarray(line.get_ydata())]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


# learning curves


def test_learning_curves_are_those_of_the_twenty_best() -> None:
    recorded = study([RATES], 30)
    figure = figures.learning_curves(recorded, figures.training_histories(recorded, unread))
    best = sorted(recorded.results, key=lambda r: -(r.value or 0))[:20]
    assert len(panels(figure)) == 20
    for place, (axes, result) in enumerate(zip(panels(figure), best, strict=True), start=1):
        assert axes.get_title() == f"best-{place} ({wording.number(result.value or 0.0)})"
        by_label = {line.get_label(): line for line in axes.lines}
        validation, training = by_label["validation"], by_label["training"]
        assert xs(validation) == [1, 2, 3, 4, 5]
        assert ys(validation) == result.curve("validation_accuracy")
        assert ys(training) == result.curve("training_accuracy")
        assert validation.get_linestyle() == "-"
        assert training.is_dashed()
        (shown,) = [text.get_text() for text in axes.texts]
        rate, decay = result.trial.hyperparameters.values()
        assert shown == f"learning_rate {rate:.4g}\nweight_decay {decay:.4g}"
    assert len({axes.get_ylim() for axes in panels(figure)}) == 1
    assert {axes.get_yscale() for axes in panels(figure)} == {"linear"}
    assert legend(figure) == ["training", "validation"]
    assert [a.get_xlabel() for a in panels(figure)] == [""] * 15 + ["epoch"] * 5
    assert "validation_accuracy" in texts(figure)


def unread(run_id: str, name: str) -> list[float]:
    raise AssertionError("the result has the whole curve")


def test_training_curves_are_read_from_the_record_only_where_they_are_missing() -> None:
    recorded = study([RATES], 25)
    short = [
        replace(r, metrics=[{"validation_accuracy": m["validation_accuracy"]}
                            for m in r.metrics[:-1]] + [r.metrics[-1]])
        for r in recorded.results
    ]
    runs = {r.trial.id: f"run-{r.trial.number}" for r in short}
    asked = []

    def history(run_id: str, name: str) -> list[float]:
        asked.append((run_id, name))
        return [0.1, 0.2, 0.3, 0.4, 0.5]

    found = figures.training_histories(replace(recorded, results=short, runs=runs), history)
    assert len(asked) == len(found) == 20
    assert {name for _, name in asked} == {"training_accuracy"}
    assert figures.training_histories(study([RATES], 3, metric="accuracy"), unread) == {}


def test_losses_over_decades_get_a_log_axis_and_explosions_are_cut() -> None:
    recorded = study([RATES], 30, "validation_loss", "minimize", epochs=200)
    exploded = min(recorded.results, key=lambda r: r.value or math.inf)
    metrics = [{"validation_loss": 1e30}, *exploded.metrics[1:]]
    results = [replace(r, metrics=metrics) if r is exploded else r for r in recorded.results]
    figure = figures.learning_curves(replace(recorded, results=results), {})
    assert panels(figure)[0].get_yscale() == "log"
    assert panels(figure)[0].get_ylim()[1] < 1e6


@pytest.mark.parametrize(
    ("metric", "named"),
    [
        ("validation_loss", ["training", "validation"]),
        ("training_loss", ["training_loss"]),
        ("map_at_5", ["map_at_5"]),
        ("cross_validation_score", ["training", "cross_validation_score"]),
    ],
)
def test_only_a_metric_of_validation_rows_is_called_so(metric: str, named: list[str]) -> None:
    recorded = study([RATES], 5, metric)
    figure = figures.learning_curves(recorded, figures.training_histories(recorded, unread))
    assert legend(figure) == named
    assert metric in texts(figure)


@pytest.mark.parametrize(("trials", "count"), [(1, 1), (3, 3), (7, 7), (500, 20)])
def test_learning_curves_of_few_and_many(trials: int, count: int) -> None:
    figure = figures.learning_curves(study([RATES], trials), {})
    assert len(panels(figure)) == count
    assert panels(figure)[-1].get_xlabel() == "epoch"


# ranges


def test_ranges_show_every_trial_in_order_inside_the_band_of_its_round() -> None:
    recorded = study([RATES, NARROWED], 40, states=list(State))
    figure = figures.ranges(recorded)
    assert [axes.get_xlabel() for axes in panels(figure)] == ["learning_rate", "weight_decay"]
    assert [axes.get_xscale() for axes in panels(figure)] == ["log", "log"]
    axes = panels(figure)[0]
    positions = np.concatenate(
        [points(axes, label) for label in ("_trial", "pruned", "diverged", "failed")]
    )
    assert sorted(positions[:, 1]) == list(range(1, 81))
    for x, y in positions:
        result = recorded.results[int(y) - 1]
        assert x == result.trial.hyperparameters["learning_rate"]
    bands = [band.get_datalim(axes.transData).extents for band in axes.collections
             if band.get_label() == "_band"]
    np.testing.assert_allclose(
        bands, [(1e-6, 0.5, 1e-2, 40.5), (1e-4, 40.5, 3e-3, 80.5)], rtol=1e-9
    )
    assert axes.get_ylim() == (80.5, 0.5)  # downward
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["round 1", "round 2"]
    assert legend(figure)[:3] == ["pruned", "diverged", "failed"]
    assert legend(figure)[3].startswith("best: 0.")


def test_choices_are_columns_and_dropped_ones_leave_the_band() -> None:
    fewer: Mapping[str, Distribution] = {
        **MIXED, "optimizer": CategoricalDistribution(("sgd", "adam"))
    }
    figure = figures.ranges(study([MIXED, fewer], 30))
    axes = panels(figure)[1]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["sgd", "momentum", "adam"]
    bands = [band.get_datalim(axes.transData).extents for band in axes.collections
             if band.get_label() == "_band"]
    np.testing.assert_allclose(
        bands, [(-0.5, 0.5, 2.5, 30.5), (-0.5, 30.5, 0.5, 60.5), (1.5, 30.5, 2.5, 60.5)]
    )
    columns = points(axes, "_trial")
    assert set(np.round(columns[:, 0])) == {0, 1, 2}
    assert set(np.round(columns[columns[:, 1] > 30, 0])) == {0, 2}
    assert len(set(columns[columns[:, 1] <= 30, 0])) == 30  # set apart: none hides another
    hidden = [tick.get_text() for tick in panels(figure)[2].get_xticklabels()]
    assert hidden == ["100", "100, 100", "50x6"]
    layers = [float(tick) for tick in panels(figure)[3].get_xticks()]
    assert layers == [round(tick) for tick in layers]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_better_is_darker_and_a_few_terrible_values_do_not_bleach_the_rest(
    direction: Direction,
) -> None:
    recorded = study([RATES], 50, "validation_loss", direction)
    terrible = -1e6 if direction == "maximize" else 1e6
    results = [replace(r, value=terrible) if i < 3 else r for i, r in enumerate(recorded.results)]
    figure = figures.ranges(replace(recorded, results=results))
    (drawn,) = [c for c in panels(figure)[0].collections if c.get_label() == "_trial"]
    values = np.asarray(drawn.get_array())
    assert len(values) == 50
    darkness = -drawn.to_rgba(values)[:, :3] @ [0.3, 0.6, 0.1]
    best_first = np.argsort(values if direction == "minimize" else -values)
    assert np.all(np.diff(darkness[best_first]) <= 1e-2)
    assert np.ptp(darkness[best_first[:25]]) > 0.15  # the better half is told apart
    assert len(np.asarray(drawn.get_offsets())) == 50


# map


def test_the_map_has_a_box_for_each_round() -> None:
    recorded = study([RATES, RATES, NARROWED], 20, states=[State.COMPLETE, State.DIVERGED])
    figure = figures.landscape(recorded)
    (axes,) = panels(figure)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning_rate", "weight_decay")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    boxes = {str(line.get_label()): line for line in axes.lines}
    assert set(boxes) == {"_rounds 1, 2", "_round 3"}  # equal ones are drawn once
    assert set(xs(boxes["_round 3"])) == {1e-4, 3e-3}
    assert set(ys(boxes["_round 3"])) == {1e-8, 1e-4}
    assert [text.get_text() for text in axes.texts] == ["rounds 1, 2", "round 3"]
    assert all(text.get_bbox_patch() for text in axes.texts)  # legible among the trials
    assert len(points(axes, "_trial")) == 30
    assert len(points(axes, "diverged")) == 30


def test_the_map_takes_numbers_first_and_the_strongest_evidence() -> None:
    recorded = study([MIXED], 20)
    figure = figures.landscape(recorded)
    assert panels(figure)[0].get_xlabel() == "learning_rate"
    assert panels(figure)[0].get_ylabel() == "layers"
    evidence = {"layers": 0.9, "batch_size": 1e-3, "learning_rate": 1e-9}
    known = [
        Move(n, d, d, "kept", 1.0, "", evidence.get(n, math.nan)) for n, d in MIXED.items()
    ]
    figure = figures.landscape(recorded, known)
    assert panels(figure)[0].get_ylabel() == "batch_size"
    choices = {n: d for n, d in MIXED.items() if n in ("optimizer", "hidden_sizes")}
    figure = figures.landscape(study([choices], 100))
    assert panels(figure)[0].get_xlabel() == "optimizer"
    assert len({tuple(np.round(p)) for p in points(panels(figure)[0], "_trial")}) == 9


# best so far


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_so_far_goes_through_the_rounds(direction: Direction) -> None:
    recorded = study([RATES, NARROWED], 30, "validation_loss", direction, states=list(State))
    figure = figures.best_so_far(recorded)
    (axes,) = panels(figure)
    (line,) = [line for line in axes.lines if str(line.get_label()).startswith("best")]
    pick = max if direction == "maximize" else min
    values = [r.value if r.state is State.COMPLETE else None for r in recorded.results]
    expected = [
        pick((v for v in values[:n] if v is not None), default=math.nan) for n in range(1, 61)
    ]
    np.testing.assert_array_equal(ys(line)[:-1], expected)
    assert line.get_label() == f"best so far: {expected[-1]:.4g}"
    (border,) = [line for line in axes.lines if line.get_label() == "_border"]
    assert xs(border) == [30.5, 30.5]
    assert [text.get_text() for text in axes.texts] == ["round 1", "round 2"]
    assert axes.get_xlim() == (0.5, 60.5)
    drawn = ("trial", "pruned", "diverged", "failed", "worse than shown")
    assert sum(len(points(axes, label)) for label in drawn) == 60
    low, high = axes.get_ylim()
    for label in drawn:  # nothing lies outside, where it would not be seen
        assert all(low <= y <= high for _, y in points(axes, label))
    worse_end = high if direction == "minimize" else low
    inner = expected[-1]
    for _, y in points(axes, "diverged"):
        assert abs(y - worse_end) < 0.05 * abs(worse_end - inner)


def test_a_loss_over_decades_has_a_log_axis() -> None:
    recorded = study([RATES], 40, "validation_loss", "minimize")
    steep = [replace(r, value=10 ** (-4 + 0.1 * i)) for i, r in enumerate(recorded.results)]
    assert panels(figures.best_so_far(recorded))[0].get_yscale() == "linear"
    figure = figures.best_so_far(replace(recorded, results=steep))
    assert panels(figure)[0].get_yscale() == "log"


# proposal


def test_the_proposal_shows_old_and_new_range_and_the_reason() -> None:
    recorded = study([RATES], 60, states=[State.COMPLETE] * 5 + [State.DIVERGED])
    proposed = moves(recorded)
    assert proposed[0].new != proposed[0].old
    figure = figures.proposal(recorded, proposed)
    assert len(panels(figure)) == 2
    for axes, move in zip(panels(figure), proposed, strict=True):
        assert isinstance(move.old, FloatDistribution)
        assert isinstance(move.new, FloatDistribution)
        assert axes.get_title(loc="left") == f"{move.name}: {move.kind}"
        bars = {str(line.get_label()): line for line in axes.lines}
        assert xs(bars["_now"]) == [move.old.low, move.old.high]
        assert xs(bars["_next"]) == [move.new.low, move.new.high]
        (band,) = [patch for patch in axes.patches if patch.get_label() == "_band"]
        np.testing.assert_allclose(
            band.get_extents().transformed(axes.transData.inverted()).intervalx,
            [move.new.low, move.new.high], rtol=1e-6,
        )
        caption = next(t.get_text() for t in axes.texts if "\n" in t.get_text())
        flat = " ".join(caption.split())
        assert move.reason in flat
        assert f"(p = {wording.number(move.p_value)})" in flat
        assert axes.get_xscale() == "log"
        drawn = points(axes, "_trial")
        assert {(x, y) for x, y in drawn} == {
            (r.trial.hyperparameters[move.name], r.value)
            for r in recorded.results if r.state is State.COMPLETE
        }
        assert len(points(axes, "diverged")) == 10


def test_no_number_of_a_figure_is_cut() -> None:
    old = FloatDistribution(0.00012345678901, 0.12345678901, log=True)
    new = FloatDistribution(0.00112345678901, 0.10123456789, log=True)
    space: Mapping[str, Distribution] = {
        "rate": old, "decay": RATES["weight_decay"],
        "large": IntegerDistribution(2**52, 2**53),
        "sizes": CategoricalDistribution(((1234, 2345, 3456, 4567, 5678), (12345, 12346))),
    }
    recorded = study([space], 20, "validation_loss", "minimize")
    reason = "the best 3 of 20 trials have 0.0012345 to 0.1234"
    move = Move("rate", old, new, "narrowed", 0.5, reason, 1.2345e-9)
    shown = " ".join(
        text for figure in (
            figures.proposal(recorded, [move, replace(move, name="decay")]),
            figures.learning_curves(recorded, {}), figures.ranges(recorded),
        ) for text in texts(figure)
    )
    flat = " ".join(shown.split())
    assert "0.00012345678901 to 0.12345678901 → 0.00112345678901 to 0.10123456789" in flat
    assert f"{reason} (p = {wording.number(1.2345e-9)})" in flat
    for result in recorded.results:
        assert f"large {result.trial.hyperparameters['large']}" in shown
    assert "sizes 12345, 12346" in shown
    assert "sizes 1234, …, 5678" in shown
    assert not re.search(r"\d…|…\d", shown)


def test_a_range_beyond_all_trials_is_inside_the_axis() -> None:
    recorded = study([RATES], 20)
    old = RATES["learning_rate"]
    new = FloatDistribution(1e-3, 100.0, log=True)
    move = Move("learning_rate", old, new, "moved", 1.2, "word " * 80, 1e-200)
    (axes,) = panels(figures.proposal(recorded, [move]))
    low, high = axes.get_xlim()
    assert low < 1e-6
    assert high > 100
    caption = next(t.get_text() for t in axes.texts if "\n" in t.get_text())
    assert caption.count("\n") <= 4
    assert caption.endswith("…")


@pytest.mark.parametrize(("low", "high", "log", "ticks"), [
    (1e-6, 1e-2, True, ["1e-6", "1e-5", "1e-4", "0.001", "0.01"]),
    (1e-4, 3e-3, True, ["1e-4", "3e-4", "0.001", "0.003"]),
    (0.002, 0.009, True, ["0.002", "0.003", "0.005", "0.007"]),
    (0.002, 0.004, True, ["0.002", "0.0025", "0.003", "0.0035", "0.004"]),
    (0.0, 1.0, False, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    (0.981, 0.984, False, ["0.981", "0.9815", "0.982", "0.9825", "0.983", "0.9835", "0.984"]),
])  # fmt: skip
def test_ticks_are_few_round_numbers(
    low: float, high: float, log: bool, ticks: list[str]
) -> None:
    recorded = study([{"a": FloatDistribution(low, high, log=log)}], 5)
    (axes,) = panels(figures.ranges(recorded))
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks


# all of them


ODD: dict[str, Recorded] = {
    "one trial": study([RATES], 1),
    "a round without a trial": study([RATES, NARROWED], 0),
    "five": study([RATES], 5, states=[State.COMPLETE, State.PRUNED]),
    "only diverged and failed": study([RATES], 12, states=[State.DIVERGED, State.FAILED]),
    "only pruned": study([RATES], 12, states=[State.PRUNED]),
    "one hyperparameter": study([{"learning_rate": RATES["learning_rate"]}], 15),
    "only choices": study([{"optimizer": MIXED["optimizer"]}], 15),
    "one choice left": study([{"a": CategoricalDistribution(("x",)), **RATES}], 15),
    "all kinds": study([MIXED, MIXED], 20, "validation_a_metric_with_a_very_long_name_indeed",
                       "minimize", states=list(State)),
    "many rounds": study([RATES] * 40, 3),
    "one epoch": study([RATES], 25, epochs=1),
    "all equal": replace(
        study([RATES], 1), results=[replace(r, value=0.5) for r in study([RATES], 12).results]
    ),
    "thousands": study([RATES, NARROWED], 2500, states=list(State)),
}


@pytest.mark.parametrize("recorded", ODD.values(), ids=ODD.keys())
@pytest.mark.filterwarnings("error")
def test_every_study_can_be_drawn(recorded: Recorded, tmp_path: Path) -> None:
    few = replace(recorded, results=recorded.results[:300])
    files = figures.write(recorded, moves(few), unread, tmp_path / "new" / "folder")
    expected = NAMES - ({"map"} if len(recorded.rounds[0].search_space) == 1 else set())
    assert {file.name for file in files} == {f"{name}.png" for name in expected}
    for file in files:
        assert file.read_bytes().startswith(b"\x89PNG")


def test_no_text_leaves_the_page_or_covers_a_neighbor() -> None:
    recorded = study([MIXED, MIXED], 40, "validation_accuracy", states=list(State))
    for figure in (
        figures.learning_curves(recorded, {}), figures.ranges(recorded),
        figures.landscape(recorded), figures.best_so_far(recorded),
        figures.proposal(recorded, moves(recorded)),
    ):
        figure.draw_without_rendering()
        page = figure.bbox.padded(1)
        for axes in figure.axes:
            if axes.get_tightbbox() is not None:
                box = axes.get_tightbbox()
                assert box is not None
                assert page.x0 <= box.x0 <= box.x1 <= page.x1
                assert page.y0 <= box.y0 <= box.y1 <= page.y1
        for axes in panels(figure):  # what stands above a panel is clear of the one over it
            title = axes.title.get_window_extent()
            for other in panels(figure):
                label = other.xaxis.label.get_window_extent()
                if other is not axes and label.width and title.width:
                    assert not label.overlaps(title)


def test_the_same_study_gives_the_same_bytes_in_any_style(tmp_path: Path) -> None:
    recorded = study([RATES], 10)
    first = figures.save(figures.ranges(recorded), tmp_path / "first.png").read_bytes()
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30, "savefig.dpi": 20}):
        second = figures.save(figures.ranges(recorded), tmp_path / "second.png").read_bytes()
        assert mpl.rcParams["font.size"] == 30  # and leaves it as it was
    assert first == second
    assert b"Software" not in first
    assert b"Creation" not in first


def test_a_file_in_the_way_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="name another folder"):
        figures.save(figures.ranges(study([RATES], 3)), tmp_path / "file" / "ranges.png")


# from the command line


def train(folder: Path, **changes: Any) -> Path:
    return write_study(
        folder, "small", objective="trainer.objectives:perceptron", metric="validation_accuracy",
        data={"source": "digits", "rows": 150},
        fixed={"hidden_sizes": [10], "epochs": 4, "batch_size": 50},
        round={"trials": 6, "sampler": "random", "parallel": 2}, **changes,
    )


@pytest.mark.figures
def test_each_round_has_its_figures_in_the_record_and_commands_draw_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hpo("run", train(folder, rounds=2), "--inline")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    recorded = Tracking(uri).study("small").read()
    assert recorded is not None
    client = client_of(uri)
    for round_ in recorded.rounds:
        found = {artifact.path for artifact in client.list_artifacts(round_.run_id, "figures")}
        assert found == {f"figures/{name}.png" for name in NAMES}
    best = max(recorded.results, key=lambda r: r.value or 0)
    run_id = recorded.runs[best.trial.id]
    history = Tracking(uri).study("small").history(run_id, "training_accuracy")
    assert len(history) == 4
    assert history[-1] == best.metrics[-1]["training_accuracy"]

    capsys.readouterr()
    hpo("show", "small", "--figures", "drawn")
    printed = capsys.readouterr().out
    for name in NAMES:
        assert f"drawn/{name}.png" in printed
        kept = client.download_artifacts(
            recorded.rounds[-1].run_id, f"figures/{name}.png", str(folder)
        )
        assert Path(kept).read_bytes() == (folder / "drawn" / f"{name}.png").read_bytes()
    hpo("show", "small", "--round", 1, "--figures", "first", "--json")
    assert len(json.loads(capsys.readouterr().out)["figures"]) == 5
    kept = client.download_artifacts(recorded.rounds[0].run_id, "figures/ranges.png", str(folder))
    assert Path(kept).read_bytes() == Path("first/ranges.png").read_bytes()

    hpo("narrow", "small", "--figures", "next")
    assert "next/proposal.png" in capsys.readouterr().out
    assert Path("next/proposal.png").read_bytes() == Path("drawn/proposal.png").read_bytes()
    Path(kept).with_name("proposal.png").unlink(missing_ok=True)
    hpo("narrow", "small")
    assert "figures/proposal.png of round 2 in MLflow" in capsys.readouterr().out
    hpo("narrow", "small", "--json")
    assert "figure" not in json.loads(capsys.readouterr().out)


@pytest.mark.figures
def test_a_failure_to_draw_is_a_note_and_the_study_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(figures, "write", broken)
    hpo("run", write_study(folder, rounds=2), "--inline")
    printed = capsys.readouterr().out
    assert printed.count("no ink") == 2
    hpo("show", "toy", "--json")
    assert [r["trials"] for r in json.loads(capsys.readouterr().out)["rounds"]] == [12, 12]
