"""All sections of docs/book.md in the order of the page: a picture, a table, what was seen."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from book_objectives import BINS, START
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpo.data.loading import load
from hpo.objective import Given
from hpo.record.study import StudyRecord
from hpo.record.values import Recorded
from hpo.report.palette import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    PALE,
    TRAINING,
    VALIDATION,
    VERMILION,
)
from hpo.search_space import describe
from hpo.study import Study
from hpo.threads import limit_threads
from hpo.trial import TrialResult, rank

if TYPE_CHECKING:
    from hpo.objective import Model


Array: TypeAlias = NDArray[Any]
Section: TypeAlias = tuple[Figure, list[list[str]], str]  # a picture, a table, what was seen


OPTIMIZERS = {"sgd": "SGD", "momentum": "momentum", "adagrad": "AdaGrad", "adam": "Adam"}
COLORS = dict(zip(OPTIMIZERS, (BLUE, VERMILION, GREEN, ORANGE), strict=True))
BOOK_RATES = {"sgd": 0.01, "momentum": 0.01, "adagrad": 0.01, "adam": 0.001}


@dataclass(frozen=True)
class Ran:
    """A study and what the record knows of it."""

    study: Study
    record: StudyRecord
    recorded: Recorded

    def results(self, **values: object) -> list[TrialResult]:
        """Return the results with these hyperparameters, in order of round and number."""
        return [
            r
            for r in self.recorded.results
            if all(r.trial.hyperparameters[name] == value for name, value in values.items())
        ]

    def of_round(self, number: int) -> list[TrialResult]:
        """Return the results of one round."""
        return [r for r in self.recorded.results if r.trial.round == number]

    def curve(self, result: TrialResult, metric: str) -> list[float]:
        """Return a metric of a trial by epoch."""
        run = self.recorded.runs[result.trial.id]
        return self.record.history(run, metric)

    def curves(self, metric: str, **values: object) -> Array:
        """Return a metric of the trials with these hyperparameters, (trials, epochs)."""
        return np.array([self.curve(r, metric) for r in self.results(**values)])


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **more: Any) -> Any:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **more)


def _by_epoch(axes: Axes, curves: Array, color: str, label: str, **more: Any) -> None:
    """Draw the mean of some curves, and each of them pale."""
    epochs = np.arange(1, curves.shape[1] + 1)
    for curve in curves:
        axes.plot(epochs, curve, color=color, lw=0.7, alpha=0.45, **more)
    axes.plot(epochs, curves.mean(axis=0), color=color, label=label, **more)


def _rate(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _values(results: Sequence[TrialResult]) -> list[float]:
    """Return the values of the trials; those that diverged have none, and count as 0."""
    return [0.0 if r.value is None else r.value for r in results]


def _mean_or_diverged(values: Sequence[float]) -> str:
    """Return the mean of those above 0, and how many others there are."""
    finished = [value for value in values if value]
    if not finished:
        return "diverged"
    others = len(values) - len(finished)
    return _percent(float(np.mean(finished))) + (f", {others} diverged" if others else "")


def _verdict(wholly: bool, text: str, mostly: bool = False) -> str:
    return f"**{'Seen' if wholly else 'Seen in part' if mostly else 'Not seen'}:** {text}"


def bowl(ran: Mapping[str, Ran]) -> Section:
    """Draw the paths of four optimizers."""
    this = ran["bowl"]
    figure, grid = _figure(8, 5.4, 2, 2, sharex=True, sharey=True)
    xs, ys = np.meshgrid(np.linspace(-8.5, 8.5, 200), np.linspace(-3.4, 3.4, 160))
    table = [["optimizer", "book's rate", "way walked", "valley crossed", "height in the end",
              "best rate found", "height in the end"]]
    crossings = {}
    for axes, first in zip(grid.flat, this.results()[:4], strict=True):
        name, rate = (first.trial.hyperparameters[key] for key in ("optimizer", "learning_rate"))
        x, y = (
            [start, *this.curve(first, metric)] for start, metric in zip(START, "xy", strict=True)
        )
        axes.contour(xs, ys, xs**2 / 20 + ys**2, [0.02, 0.1, 0.3, 0.7, 1.5, 3, 5, 8], colors=PALE,
                     linewidths=0.7)
        axes.plot(0, 0, "+", color=INK, ms=9)
        axes.plot(x, y, "-o", color=COLORS[str(name)], ms=2.8, lw=1.1)
        axes.set_title(f"{OPTIMIZERS[str(name)]}, learning rate {rate:g}")
        axes.grid(False)
        rest = rank(this.results(optimizer=name), "minimize")
        best = next(r for r in rest if r is not first)
        crossings[name] = int((np.diff(np.sign(y)) != 0).sum())
        way = float(np.hypot(np.diff(x), np.diff(y)).sum())
        table.append([OPTIMIZERS[str(name)], _rate(rate), f"{way:.1f}", f"{crossings[name]} times",
                      f"{first.value:.2g}", f"{best.trial.hyperparameters['learning_rate']:.2g}",
                      f"{best.value:.2g}"])
    for axes in grid[1]:
        axes.set_xlabel("x")
    for axes in grid[:, 0]:
        axes.set_ylabel("y")
    return figure, table, _verdict(
        crossings["sgd"] == 30 and max(n for k, n in crossings.items() if k != "sgd") < 10,
        f"SGD crosses the valley at {crossings['sgd']} of 30 steps, momentum at "
        f"{crossings['momentum']}, Adam at {crossings['adam']}, AdaGrad at {crossings['adagrad']}.",
    )


def optimizers(ran: Mapping[str, Ran]) -> Section:
    """Draw what four optimizers learn, at the book's learning rates and at all of the grid."""
    this = ran["optimizers"]
    figure, (left, right) = _figure(8, 3.6, 1, 2)
    rates: list[float] = list(this.study.search_space["learning_rate"].choices)
    table = [["optimizer", *(f"rate {_rate(rate)}" for rate in rates)]]
    at_book = {}
    for name, title in OPTIMIZERS.items():
        rate = BOOK_RATES[name]
        losses = this.curves("training_loss", optimizer=name, learning_rate=rate)
        _by_epoch(left, losses, COLORS[name], f"{title}, {_rate(rate)}")
        at_book[name] = losses[:, 4].mean()
        values = [_values(this.results(optimizer=name, learning_rate=rate)) for rate in rates]
        right.plot(rates, [np.mean(v) for v in values], "-o", color=COLORS[name], ms=3.5,
                   label=title)
        for rate, both in zip(rates, values, strict=True):
            right.plot([rate] * len(both), both, "_", color=COLORS[name], ms=7, alpha=0.6)
        table.append([title, *map(_mean_or_diverged, values)])
    left.set(yscale="log", xlabel="epoch", ylabel="training loss",
             title="at the book's learning rates")
    right.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy",
              title="after 20 epochs, at each learning rate")
    left.legend()
    right.legend(loc="lower center")
    slowest = max(at_book, key=lambda name: at_book[name])
    fastest = min(at_book, key=lambda name: at_book[name])
    order = ", ".join(f"{OPTIMIZERS[n]} {loss:.3f}" for n, loss in at_book.items())
    return figure, table, _verdict(
        slowest == "sgd" and fastest == "adagrad",
        f"training loss after 5 epochs at the book's rates: {order}.",
        mostly=slowest == "sgd",
    )


def initializers(ran: Mapping[str, Ran]) -> Section:
    """Draw what a network learns from three kinds of first weights."""
    this = ran["initializers"]
    figure, (left, right) = _figure(8, 3.4, 1, 2)
    titles = {"normal": "std 0.01", "xavier": "Xavier", "he": "He"}
    table = [["first weights", "training loss after epoch 1", "epoch 5", "epoch 20",
              "validation accuracy"]]
    losses, accuracies = {}, {}
    for (name, title), color in zip(titles.items(), (VERMILION, GREEN, BLUE), strict=True):
        losses[name] = this.curves("training_loss", initializer=name)
        accuracies[name] = this.curves("validation_accuracy", initializer=name)
        _by_epoch(left, losses[name], color, title)
        _by_epoch(right, accuracies[name], color, title)
        mean = losses[name].mean(axis=0)
        table.append([title, *(f"{mean[epoch - 1]:.3f}" for epoch in (1, 5, 20)),
                      _percent(accuracies[name][:, -1].mean())])
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, 2.45))
    right.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1))
    left.legend()
    chance = accuracies["normal"].max()
    return figure, table, _verdict(
        chance < 0.2 and min(accuracies[n][:, -1].min() for n in ("xavier", "he")) > 0.8,
        f"std 0.01 never leaves {_percent(chance)}, which is guessing; Xavier and He learn.",
    )


def activations(ran: Mapping[str, Ran]) -> Section:
    """Draw histograms of activations layer by layer."""
    from book_objectives import BOUNDS

    this = ran["activations"]
    kinds = {"std 1": "std 1", "std 0.01": "std 0.01", "xavier": "Xavier", "he": "He"}
    figure, grid = _figure(8, 6.2, 3, 4, sharex=True, sharey="row")
    table = [["", *kinds.values()]]
    evenness: dict[tuple[str, str], float] = {}
    stds: dict[tuple[str, str], list[float]] = {}
    for row, (activation, (low, high)) in zip(grid, BOUNDS.items(), strict=True):
        edges = np.linspace(low, high, BINS + 1)
        cells = [activation if activation != "relu" else "ReLU"]
        for axes, (weights, title) in zip(row, kinds.items(), strict=True):
            (result,) = this.results(activation=activation, weights=weights)
            bins = np.array([this.curve(result, f"bin_{n:02}") for n in range(1, BINS + 1)])
            for layer, shares in enumerate(bins.T, 1):
                # Half of what ReLU puts out is 0: show the other half at its own scale.
                largest = max(shares[1:-1].max(), 0.02) if activation == "relu" else shares.max()
                lengths = 0.88 * np.minimum(shares / largest, 1)
                axes.barh(edges[:-1], lengths, np.diff(edges), layer - 0.44, align="edge",
                          color=BLUE, lw=0)
            std = stds[activation, weights] = this.curve(result, "std")
            evenness[activation, weights] = result.value or 0.0
            axes.grid(False)
            axes.set(xticks=range(1, 6), ylim=(low, high))
            if activation == "sigmoid":
                axes.set_title(title)
            cells.append(f"{std[0]:.2g} → {std[-1]:.2g}; {result.value:.2f}")
        row[0].set_ylabel(f"{cells[0]} puts out")
        table.append(cells)
    for axes in grid[-1]:
        axes.set_xlabel("layer")
    small = stds["relu", "std 0.01"]
    xavier, he = stds["relu", "xavier"], stds["relu", "he"]
    holds = (
        evenness["sigmoid", "xavier"]
        > max(evenness["sigmoid", "std 1"], evenness["sigmoid", "std 0.01"])
        and evenness["tanh", "xavier"]
        > max(evenness["tanh", "std 1"], evenness["tanh", "std 0.01"])
        and small[-1] < 1e-3
        and he[-1] / he[0] > 0.5 > xavier[-1] / xavier[0]
    )
    return figure, table, _verdict(
        holds,
        f"under ReLU the spread falls from {xavier[0]:.2g} to {xavier[-1]:.2g} with Xavier, stays "
        f"with He ({he[0]:.2g} to {he[-1]:.2g}), and is {small[-1]:.2g} in layer 5 with std 0.01.",
    )


def batch_normalization(ran: Mapping[str, Ran]) -> Section:
    """Draw sixteen races between networks with and without batch normalization."""
    this = ran["batch_normalization"]
    stds: list[Any] = [r.trial.hyperparameters["initial_std"] for r in this.results()]
    stds = sorted(set(stds), reverse=True)
    figure, grid = _figure(8, 6.2, 4, 4, sharex=True, sharey=True)
    table = [["std of the first weights", "without", "with batch normalization"]]
    ahead, behind, learned = 0, [], {"none": 0, "before": 0}
    for number, (axes, std) in enumerate(zip(grid.flat, stds, strict=True)):
        last, shown = {}, {}
        for kind, color in (("none", GRAY), ("before", BLUE)):
            (result,) = this.results(batch_normalization=kind, initial_std=std)
            curve = this.curve(result, "training_accuracy")
            axes.plot(range(1, len(curve) + 1), curve, color=color,
                      ls="--" if kind == "none" else "-")
            last[kind] = result.value or 0.0
            shown[kind] = "diverged" if result.value is None else _percent(result.value)
            learned[kind] += last[kind] > 0.5
        ahead += last["before"] > last["none"]
        if last["before"] < last["none"]:
            behind.append(f"{std:.2g}")
        axes.set_title(f"std {std:.2g}", fontsize=9, pad=3)
        axes.set(ylim=(0, 1.02), xticks=(1, 10, 20), yticks=(0, 0.5, 1))
        if number % 3 == 0:
            table.append([f"{std:.2g}", shown["none"], shown["before"]])
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy")
    figure.legend(
        *[list(grid[0, 0].lines)[::-1], ["with batch normalization", "without"]],
        loc="outside upper center", ncols=2,
    )
    return figure, table, _verdict(
        not behind and learned["none"] < learned["before"],
        f"after 20 epochs batch normalization is ahead at {ahead} of 16 and behind at "
        f"{len(behind)} ({', '.join(behind) or 'none'}); it takes {learned['before']} networks "
        f"above 50 %, against {learned['none']} without it.",
        mostly=ahead >= 12,
    )


def _gap(ran: Ran, axes: Axes, **values: object) -> Array:
    """Draw training and validation accuracy by epoch; return the last of both, (2, trials)."""
    training = ran.curves("training_accuracy", **values)
    validation = ran.curves("validation_accuracy", **values)
    epochs = np.arange(1, training.shape[1] + 1)
    axes.fill_between(epochs, validation.mean(axis=0), training.mean(axis=0), color="#f3f3f3", lw=0)
    _by_epoch(axes, training, TRAINING, "on the 300 training rows")
    _by_epoch(axes, validation, VALIDATION, "on 2,700 validation rows")
    axes.set(xlabel="epoch", ylim=(0, 1.02))
    return np.array([training[:, -1], validation[:, -1]])


def _gap_table(rows: Mapping[str, Array]) -> list[list[str]]:
    table = [["", "training accuracy", "validation accuracy", "gap, points", "gap by seed"]]
    for name, ends in rows.items():
        training, validation = ends.mean(axis=1)
        gaps = 100 * (ends[0] - ends[1])
        table.append([name, _percent(training), _percent(validation), f"{gaps.mean():.1f}",
                      f"{gaps.min():.1f} … {gaps.max():.1f}"])
    return table


def overfitting(ran: Mapping[str, Ran]) -> Section:
    """Draw how a network learns 300 rows by heart."""
    figure, axes = _figure(6, 3.4)
    ends = _gap(ran["overfitting"], axes)
    axes.set_ylabel("accuracy")
    axes.legend(loc="lower right")
    training, validation = ends.mean(axis=1)
    return figure, _gap_table({"no regularization": ends}), _verdict(
        training > 0.99 and validation < 0.85,
        f"{_percent(training)} in training, {_percent(validation)} in validation.",
    )


def _two_gaps(ran: Ran, name: str, strength: float, titles: tuple[str, str]) -> Section:
    """Draw the gap without and with a regularizer."""
    figure, (left, right) = _figure(8, 3.4, 1, 2, sharey=True)
    rows = {}
    for axes, value, title in zip((left, right), (0.0, strength), titles, strict=True):
        rows[title] = _gap(ran, axes, **{name: value})
        axes.set_title(title)
    left.set_ylabel("accuracy")
    left.legend(loc="lower right")
    without, among = (ends[0] - ends[1] for ends in rows.values())
    before, after = (float(ends[1].mean()) for ends in rows.values())
    return figure, _gap_table(rows), _verdict(
        among.max() < without.min(),
        f"the gap goes from {100 * without.mean():.1f} to {100 * among.mean():.1f} points, and "
        f"validation accuracy from {_percent(before)} to {_percent(after)}.",
        mostly=among.mean() < without.mean(),
    )


def weight_decay(ran: Mapping[str, Ran]) -> Section:
    """Draw what weight decay does to the gap."""
    titles = ("no weight decay", "weight decay 0.1")
    return _two_gaps(ran["weight_decay"], "weight_decay", 0.1, titles)


def dropout(ran: Mapping[str, Ran]) -> Section:
    """Draw what dropout does to the gap."""
    return _two_gaps(ran["dropout"], "dropout_rate", 0.2, ("no dropout", "dropout 0.2"))


def _train_again(study: Study, results: Sequence[TrialResult]) -> Iterator[tuple[str, Array]]:
    """Train trials once more; yield a name and the validation rows' probabilities for each.

    Raises ValueError where a trial does not come out as recorded, to the last bit.
    """
    limit_threads(study.resources.cpus)
    assert study.data is not None
    data = load(study.data, seed=study.seed, folder=study.path.parent).data
    assert data.validation is not None
    for result in results:
        trial = result.trial
        asked = {**study.fixed, **trial.hyperparameters}
        epochs = study.objective.start(asked, Given(study.metric, trial.seed, data))
        last: Mapping[str, float] = {}
        model: Model | None = None
        while model is None:
            try:
                last = next(epochs)
            except StopIteration as end:
                model = end.value
        if last[study.metric] != result.value:
            raise ValueError(f"trial {trial.number} came out otherwise than recorded: elsewhere?")
        yield f"network {trial.number}", model.predict(data.validation.inputs)


def ensemble(ran: Mapping[str, Ran]) -> Section:
    """Draw what five networks know one by one and together."""
    this = ran["ensemble"]
    assert this.study.data is not None
    data = load(this.study.data, seed=this.study.seed, folder=this.study.path.parent).data
    assert data.validation is not None
    targets = data.validation.targets
    predicted = dict(_train_again(this.study, this.results()))
    alone = {name: float(np.mean(p.argmax(axis=1) == targets)) for name, p in predicted.items()}
    mean = float(np.mean(list(alone.values())))
    together = np.mean(list(predicted.values()), axis=0)
    joint = float(np.mean(together.argmax(axis=1) == targets))
    figure, axes = _figure(6, 2.6)
    names = [*alone, "their average", "the ensemble"]
    values = [*alone.values(), mean, joint]
    for place, (value, color) in enumerate(
        zip(values, [GRAY] * len(alone) + [INK, BLUE], strict=True)
    ):
        axes.plot(value, -place, "o", color=color, ms=7)
        axes.annotate(f"{100 * value:.2f} %", (value, -place), (9, 0), textcoords="offset points",
                      va="center", fontsize=9, color=color,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.axvline(mean, color=PALE, lw=1, zorder=0)
    axes.set(yticks=range(0, -len(names), -1), yticklabels=names, xlabel="validation accuracy")
    axes.set_xlim(min(values) - 0.002, max(values) + 0.003)
    axes.set_ylim(-len(names) + 0.4, 0.6)
    axes.grid(axis="y", visible=False)
    table = [["", "validation accuracy"], *([n, f"{100 * a:.2f} %"] for n, a in
                                            zip(names, values, strict=True))]
    better = sum(joint > value for value in alone.values())
    return figure, table, _verdict(
        joint > mean,
        f"together {100 * (joint - mean):.2f} points above the average of the five, and above "
        f"{better} of them one by one.",
    )


def grid_random(ran: Mapping[str, Ran]) -> Section:
    """Draw the same budget spent on a grid and at random."""
    figure, (left, right) = _figure(8, 3.5, 1, 2, sharex=True, sharey=True)
    attempts = {"grid": ran["grid_search"].results()} | {
        f"random, {n}": ran["random_search"].of_round(n) for n in range(1, 5)
    }
    table = [["27 trials", "best validation accuracy", "its learning rate",
              "trials within 5 points of the best of all"]]
    best = {name: max(_values(results)) for name, results in attempts.items()}
    for name, results in attempts.items():
        top = rank(results, "maximize")[0]
        close = sum(value > max(best.values()) - 0.05 for value in _values(results))
        table.append([name, _percent(best[name]),
                      f"{top.trial.hyperparameters['learning_rate']:.2g}", str(close)])
    colors = (VERMILION, BLUE, GREEN, ORANGE, GRAY)
    for axes, names in ((left, ["grid"]), (right, [n for n in attempts if n != "grid"])):
        for name in names:
            color = colors[list(attempts).index(name)]
            rates = [r.trial.hyperparameters["learning_rate"] for r in attempts[name]]
            axes.plot(rates, _values(attempts[name]), "o", ms=4.2, color=color, mew=0, alpha=0.8,
                      label=name)
        axes.set(xscale="log", xlabel="learning rate", ylim=(0, 1))
    left.axhline(best["grid"], color=VERMILION, lw=0.8, ls=":")
    right.axhline(best["grid"], color=VERMILION, lw=0.8, ls=":")
    left.set(ylabel="validation accuracy", title="a grid: 27 trials, 3 learning rates")
    right.set_title("random: 4 times 27 trials, 108 learning rates")
    right.legend(loc="upper left")
    wins = sum(value > best["grid"] for name, value in best.items() if name != "grid")
    return figure, table, _verdict(
        wins == 4,
        f"random search finds better than the grid's {_percent(best['grid'])} in {wins} of 4.",
        mostly=wins == 3,
    )


def search(ran: Mapping[str, Ran]) -> Section:
    """Draw the textbook's own search, at random and by TPE."""
    figure, (left, right) = _figure(8, 3.5, 1, 2)
    book = ran["mnist_book"]
    runs = {"random": book.of_round(1), "TPE": ran["tpe_search"].results()}
    table = [["100 trials", "best", "median", "trials above 60 %", "five best learning rates"]]
    numbers = {}
    for (name, results), color in zip(runs.items(), (VERMILION, BLUE), strict=True):
        values = _values(results)
        trials = range(1, len(values) + 1)
        left.step(trials, np.maximum.accumulate(values), where="post", color=color, label=name)
        left.plot(trials, values, "o", ms=2.4, mew=0, alpha=0.6, color=color)
        right.plot(trials, [r.trial.hyperparameters["learning_rate"] for r in results], "o",
                   ms=3.6, mew=0, alpha=0.75, color=color)
        numbers[name] = (max(values), float(np.median(values)), sum(v > 0.6 for v in values))
        best = rank(results, "maximize")[:5]
        rates = ", ".join(f"{r.trial.hyperparameters['learning_rate']:.2g}" for r in best)
        table.append([name, *(_percent(v) for v in numbers[name][:2]), str(numbers[name][2]),
                      rates])
    second = book.of_round(2)
    top = rank(second, "maximize")[0]
    values = _values(second)
    rates = ", ".join(
        f"{r.trial.hyperparameters['learning_rate']:.2g}" for r in rank(second, "maximize")[:5]
    )
    table.append(["random, round 2", _percent(top.value or 0), _percent(float(np.median(values))),
                  str(sum(v > 0.6 for v in values)), rates])
    left.set(xlabel="trial", ylabel="validation accuracy", ylim=(0, 1),
             title="each trial, and the best so far")
    right.set(xlabel="trial", ylabel="learning rate", yscale="log",
              title="where they look")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    proposed = book.recorded.rounds[1]
    moved = describe(proposed.search_space["learning_rate"])
    reasons = "; ".join(f"{d.move.name}, {d.move.reason}" for d in proposed.decisions)
    return figure, table, _verdict(
        numbers["TPE"][1] > numbers["random"][1],
        f"half of TPE's trials reach {_percent(numbers['TPE'][1])}, of random search's "
        f"{_percent(numbers['random'][1])}; the best are {_percent(numbers['TPE'][0])} and "
        f"{_percent(numbers['random'][0])}. For its second round `hpo` proposed learning rates "
        f"from {moved}, and found {_percent(top.value or 0)}. Its reasons: {reasons}.",
    )


def cnn(ran: Mapping[str, Ran]) -> Section:
    """Draw what a convolutional network learns in three epochs."""
    this = ran["cnn"]
    figure, axes = _figure(6, 3.2)
    table = [["learning rate", "epoch 1", "epoch 2", "epoch 3"]]
    colors = dict(zip(sorted(this.study.search_space["learning_rate"].choices),
                      (GREEN, BLUE, VERMILION), strict=True))
    best = 0.0
    for rate, color in colors.items():
        (result,) = this.results(learning_rate=rate)
        curve = this.curve(result, "validation_accuracy")
        axes.plot(range(1, len(curve) + 1), curve, "-o", ms=4, color=color,
                  label=f"learning rate {_rate(rate)}")
        table.append([_rate(rate), *map(_percent, curve)])
        best = max(best, curve[-1])
    axes.set(xlabel="epoch", ylabel="validation accuracy", xticks=(1, 2, 3))
    axes.legend(loc="lower right")
    perceptron = max(_values(ran["optimizers"].results()))
    return figure, table, _verdict(
        best > perceptron,
        f"{_percent(best)} after 3 epochs; the best perceptron of the optimizers' study has "
        f"{_percent(perceptron)} after 20, from as many rows.",
    )


SECTIONS: Sequence[Callable[[Mapping[str, Ran]], Section]] = (
    bowl, optimizers, initializers, activations, batch_normalization, overfitting, weight_decay,
    dropout, ensemble, grid_random, search, cnn,
)
