"""Learning curves are those of the best trials and of all, on axes that show them."""

import math
from dataclasses import replace

import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from hpo.report import curves
from hpo.report.palette import DIVERGED, GRAY, VALIDATION
from hpo.trial import State
from tests.hpo.report.drawn import RATES, legend, panels, study, texts, unread, xs, ys


def test_learning_curves_are_those_of_the_twenty_best() -> None:
    recorded = study([RATES], 30)
    figure = curves.learning_curves(recorded, curves.training_histories(recorded, unread))
    best = sorted(recorded.results, key=lambda r: -(r.value or 0))[:20]
    assert len(panels(figure)) == 20
    assert "mnist_book · the best 20 of 30 trials" in texts(figure)
    for axes, result in zip(panels(figure), best, strict=True):
        value = result.value or 0.0
        assert axes.get_title() == f"round 1 · trial {result.trial.number} — {value:.4f}"
        by_label = {line.get_label(): line for line in axes.lines}
        validation, training = by_label["validation_accuracy"], by_label["training_accuracy"]
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
    assert legend(figure) == ["training_accuracy", "validation_accuracy"]
    assert [a.get_xlabel() for a in panels(figure)] == [""] * 16 + ["epoch"] * 4
    assert "validation_accuracy" in texts(figure)


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

    found = curves.training_histories(replace(recorded, results=short, runs=runs), history)
    assert len(asked) == len(found) == 20
    assert {name for _, name in asked} == {"training_accuracy"}
    assert curves.training_histories(study([RATES], 3, metric="accuracy"), unread) == {}


def test_losses_over_decades_get_a_log_axis_and_explosions_are_cut() -> None:
    recorded = study([RATES], 30, "validation_loss", "minimize", epochs=200)
    exploded = min(recorded.results, key=lambda r: r.value or math.inf)
    metrics = [{"validation_loss": 1e30}, *exploded.metrics[1:]]
    results = [replace(r, metrics=metrics) if r is exploded else r for r in recorded.results]
    figure = curves.learning_curves(replace(recorded, results=results), {})
    assert panels(figure)[0].get_yscale() == "log"
    assert panels(figure)[0].get_ylim()[1] < 1e6


@pytest.mark.parametrize(
    ("metric", "named"),
    [
        ("validation_loss", ["training_loss", "validation_loss"]),
        ("training_loss", ["training_loss"]),
        ("map_at_5", ["map_at_5"]),
        ("cross_validation_score", ["cross_training_score", "cross_validation_score"]),
    ],
)
def test_a_curve_is_called_as_its_metric_is(metric: str, named: list[str]) -> None:
    recorded = study([RATES], 5, metric)
    figure = curves.learning_curves(recorded, curves.training_histories(recorded, unread))
    assert legend(figure) == named
    assert metric in texts(figure)


@pytest.mark.parametrize(("trials", "count"), [(1, 1), (3, 3), (7, 7), (500, 20)])
def test_learning_curves_of_few_and_many(trials: int, count: int) -> None:
    figure = curves.learning_curves(study([RATES], trials), {})
    assert len(panels(figure)) == count
    assert panels(figure)[-1].get_xlabel() == "epoch"


def test_all_curves_are_drawn_by_how_their_trials_ended() -> None:
    recorded = study([RATES, RATES], 40, states=[
        State.COMPLETE, State.COMPLETE, State.PRUNED, State.DIVERGED, State.FAILED,
    ], epochs=7)  # fmt: skip
    (axes,) = panels(curves.all_curves(recorded))
    drawn = {str(c.get_label()): c for c in axes.collections if isinstance(c, LineCollection)}
    for state, color in (
        (State.COMPLETE, VALIDATION), (State.PRUNED, GRAY), (State.DIVERGED, DIVERGED),
    ):
        bundle = drawn.pop(f"_{state.value}")
        assert [[tuple(point) for point in line] for line in bundle.get_segments()] == [
            list(enumerate(r.curve("validation_accuracy"), start=1))
            for r in recorded.results if r.state is state
        ]
        assert to_hex(bundle.get_colors()[0]) == color  # type: ignore[index]
    assert not drawn  # failed before the first epoch
    best = max(recorded.results, key=lambda r: (r.state is State.COMPLETE, r.value or 0))
    (line,) = (line for line in axes.lines if str(line.get_label()).startswith("best"))
    assert ys(line) == best.curve("validation_accuracy")
    assert axes.get_xlim() == (1, 7)
    assert axes.get_ylabel() == "validation_accuracy"


def test_many_curves_are_thinner_than_few() -> None:
    def width(trials: int) -> float:
        (axes,) = panels(curves.all_curves(study([RATES], trials)))
        (bundle,) = (c for c in axes.collections if isinstance(c, LineCollection))
        return float(bundle.get_linewidths()[0])  # type: ignore[index]

    assert width(10) == width(60) > width(500)
