"""Studies to draw, and what is read of their figures."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
)
from hpo.moves import Move
from hpo.record.values import Recorded, Round
from hpo.search.narrowing import narrow
from hpo.search_space import point
from hpo.trial import Direction, State, Trial, TrialResult
from tests.fixtures import round_settings

NAMES = {
    "all_curves", "learning_curves", "ranges", "map", "best_so_far", "importance", "proposal",
}
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
CONDITIONAL: Mapping[str, Distribution] = {
    "momentum": FloatDistribution(0.0, 0.99, when=(("optimizer", ("sgd",)),)),
    "optimizer": CategoricalDistribution(("sgd", "adam")),
    "layers": IntegerDistribution(1, 3, limits=(1, 3)),
    "width.1": IntegerDistribution(8, 64, log=True, part_of="width"),
    "width.2": IntegerDistribution(
        8, 64, log=True, part_of="width", when=(("layers", (2, 3)),)
    ),
    "batch_size": OrderedDistribution.of((16, 32, 64, 128)),
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
            values = point(space, dict(zip(space, units.tolist(), strict=True)))
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
    return Recorded("1", rounds, results, name="mnist_book")


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


def unread(run_id: str, name: str) -> list[float]:
    raise AssertionError("the result has the whole curve")
