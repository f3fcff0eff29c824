"""The figures show every trial, round and move where it belongs."""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from hpo import wording
from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
)
from hpo.moves import Move
from hpo.report import curves, figures, maps, proposing
from hpo.trial import Direction, State
from tests.hpo.report.drawn import (
    MIXED,
    NARROWED,
    RATES,
    legend,
    moves,
    panels,
    points,
    study,
    texts,
    xs,
    ys,
)

CLOSE: list[Mapping[str, Distribution]] = [
    {**NARROWED, "learning_rate": FloatDistribution(1e-4, high, log=True)}
    for high in (2.5e-3, 2e-3, 1.8e-3)
]


def test_ranges_show_every_trial_in_order_inside_the_band_of_its_round() -> None:
    recorded = study([RATES, NARROWED], 40, states=list(State))
    figure = figures.ranges(recorded)
    assert [axes.get_xlabel() for axes in panels(figure)] == ["learning_rate", "weight_decay"]
    assert [axes.get_xscale() for axes in panels(figure)] == ["log", "log"]
    axes = panels(figure)[0]
    positions = np.concatenate(
        [points(axes, label)
         for label in ("_trial", "pruned", "stopped", "diverged", "infeasible", "failed")]
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
    assert legend(figure)[:5] == ["pruned", "stopped", "diverged", "infeasible", "failed"]
    assert legend(figure)[5].startswith("best: 0.")


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
    figure = maps.landscape(recorded)
    (axes,) = panels(figure)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning_rate", "weight_decay")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    boxes = {str(line.get_label()): line for line in axes.lines}
    assert set(boxes) == {"_rounds 1, 2", "_round 3"}  # equal ones are drawn once
    assert list(xs(boxes["_round 3"])) == [1e-4, 3e-3, 3e-3, 1e-4, 1e-4]
    assert list(ys(boxes["_round 3"])) == [1e-8, 1e-8, 1e-4, 1e-4, 1e-8]
    assert [text.get_text() for text in axes.texts] == ["rounds 1, 2", "round 3"]
    assert len(points(axes, "_trial")) == 30
    assert len(points(axes, "diverged")) == 30


@pytest.mark.parametrize("trials", [5, 80, 500])
@pytest.mark.parametrize("rounds", [[RATES, NARROWED], [RATES, NARROWED, *CLOSE]])
def test_no_label_of_the_map_hides_a_mark_or_another_label(
    trials: int, rounds: list[Mapping[str, Distribution]]
) -> None:
    figure = maps.landscape(study(rounds, trials // len(rounds) + 1, states=list(State)))
    (axes,) = panels(figure)
    assert len(axes.texts) == len(rounds)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        for label in ("_trial", "pruned", "diverged", "infeasible", "failed", "best"):
            for x, y in axes.transData.transform(points(axes, label)):
                assert not box.contains(x, y)
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_the_map_takes_numbers_first_and_the_strongest_evidence() -> None:
    recorded = study([MIXED], 20)
    figure = maps.landscape(recorded)
    assert panels(figure)[0].get_xlabel() == "learning_rate"
    assert panels(figure)[0].get_ylabel() == "layers"
    evidence = {"layers": 0.9, "batch_size": 1e-3, "learning_rate": 1e-9}

    def moves() -> list[Move]:
        return [Move(n, d, d, "kept", 1.0, "", evidence.get(n, math.nan)) for n, d in MIXED.items()]

    figure = maps.landscape(recorded, moves())
    assert panels(figure)[0].get_ylabel() == "batch_size"
    evidence |= {"optimizer": 1e-6}  # a choice that matters goes before a number that matters less
    (axes, *_) = panels(maps.landscape(recorded, moves()))
    assert {axes.get_xlabel(), axes.get_ylabel()} == {"learning_rate", "optimizer"}
    evidence |= {"optimizer": 0.2, "batch_size": 0.3}  # one that does not matter goes behind
    (axes, *_) = panels(maps.landscape(recorded, moves()))
    assert {axes.get_xlabel(), axes.get_ylabel()} == {"learning_rate", "batch_size"}
    choices = {n: d for n, d in MIXED.items() if n in ("optimizer", "hidden_sizes")}
    figure = maps.landscape(study([choices], 100))
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
    drawn = ("trial", "pruned", "stopped", "diverged", "infeasible", "failed",
             "worse than the scale")
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
    figure = proposing.proposal(recorded, proposed)
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
            proposing.proposal(recorded, [move, replace(move, name="decay")]),
            curves.learning_curves(recorded, {}), figures.ranges(recorded),
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
    (axes,) = panels(proposing.proposal(recorded, [move]))
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
