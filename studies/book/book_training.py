"""The sections on how a network learns: optimizers, initial weights, batch normalization."""


from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from book_drawing import (
    Ran,
    Section,
    draw_by_epoch,
    figure_of,
    mean_or_diverged,
    percent,
    rate_text,
    values_of,
    verdict,
)
from book_objectives import BINS, START

from hpo.report.palette import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    PALE,
    VERMILION,
)
from hpo.trial import rank

if TYPE_CHECKING:
    pass


OPTIMIZERS = {"sgd": "SGD", "momentum": "momentum", "adagrad": "AdaGrad", "adam": "Adam"}
COLORS = dict(zip(OPTIMIZERS, (BLUE, VERMILION, GREEN, ORANGE), strict=True))
BOOK_RATES = {"sgd": 0.01, "momentum": 0.01, "adagrad": 0.01, "adam": 0.001}


def bowl(ran: Mapping[str, Ran]) -> Section:
    """Draw the paths of four optimizers."""
    this = ran["bowl"]
    figure, grid = figure_of(8, 5.4, 2, 2, sharex=True, sharey=True)
    xs, ys = np.meshgrid(np.linspace(-8.5, 8.5, 200), np.linspace(-3.4, 3.4, 160))
    table = [["optimizer", "book's rate", "path length", "valley crossings", "final height",
              "best rate found", "final height at that rate"]]
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
        found = best.trial.hyperparameters["learning_rate"]
        table.append([
            OPTIMIZERS[str(name)], rate_text(rate), f"{way:.1f}", str(crossings[name]),
            f"{first.value:.2g}", f"{found:.2g}", f"{best.value:.2g}",
        ])
    for axes in grid[1]:
        axes.set_xlabel("x")
    for axes in grid[:, 0]:
        axes.set_ylabel("y")
    return figure, table, verdict(
        crossings["sgd"] == 30 and max(n for k, n in crossings.items() if k != "sgd") < 10,
        f"SGD crosses the valley in {crossings['sgd']} of 30 steps, momentum in "
        f"{crossings['momentum']}, Adam in {crossings['adam']}, and AdaGrad in "
        f"{crossings['adagrad']}.",
    )


def optimizers(ran: Mapping[str, Ran]) -> Section:
    """Draw what four optimizers learn, at the book's learning rates and over the whole grid."""
    this = ran["optimizers"]
    figure, (left, right) = figure_of(8, 3.6, 1, 2)
    rates: list[float] = list(this.study.search_space["learning_rate"].choices)
    table = [["optimizer", *(f"rate {rate_text(rate)}" for rate in rates)]]
    at_book = {}
    for name, title in OPTIMIZERS.items():
        rate = BOOK_RATES[name]
        losses = this.curves("training_loss", optimizer=name, learning_rate=rate)
        draw_by_epoch(left, losses, COLORS[name], f"{title}, {rate_text(rate)}")
        at_book[name] = losses[:, 4].mean()
        values = [values_of(this.results(optimizer=name, learning_rate=rate)) for rate in rates]
        right.plot(rates, [np.mean(v) for v in values], "-o", color=COLORS[name], ms=3.5,
                   label=title)
        for rate, both in zip(rates, values, strict=True):
            right.plot([rate] * len(both), both, "_", color=COLORS[name], ms=7, alpha=0.6)
        table.append([title, *map(mean_or_diverged, values)])
    left.set(yscale="log", xlabel="epoch", ylabel="training loss",
             title="at the book's learning rates")
    right.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy",
              title="after 20 epochs, at each learning rate")
    left.legend()
    right.legend(loc="lower center")
    slowest = max(at_book, key=lambda name: at_book[name])
    fastest = min(at_book, key=lambda name: at_book[name])
    order = ", ".join(f"{OPTIMIZERS[n]} {loss:.3f}" for n, loss in at_book.items())
    return figure, table, verdict(
        slowest == "sgd" and fastest == "adagrad",
        f"training loss after 5 epochs at the book's rates: {order}.",
        mostly=slowest == "sgd",
    )


def initializers(ran: Mapping[str, Ran]) -> Section:
    """Draw what a network learns from three kinds of initial weights."""
    this = ran["initializers"]
    figure, (left, right) = figure_of(8, 3.4, 1, 2)
    titles = {"normal": "std 0.01", "xavier": "Xavier", "he": "He"}
    table = [["initial weights", "training loss after epoch 1", "epoch 5", "epoch 20",
              "validation accuracy"]]
    losses, accuracies = {}, {}
    for (name, title), color in zip(titles.items(), (VERMILION, GREEN, BLUE), strict=True):
        losses[name] = this.curves("training_loss", initializer=name)
        accuracies[name] = this.curves("validation_accuracy", initializer=name)
        draw_by_epoch(left, losses[name], color, title)
        draw_by_epoch(right, accuracies[name], color, title)
        mean = losses[name].mean(axis=0)
        table.append([title, *(f"{mean[epoch - 1]:.3f}" for epoch in (1, 5, 20)),
                      percent(accuracies[name][:, -1].mean())])
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, 2.45))
    right.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1))
    left.legend()
    chance = accuracies["normal"].max()
    return figure, table, verdict(
        chance < 0.2 and min(accuracies[n][:, -1].min() for n in ("xavier", "he")) > 0.8,
        f"std 0.01 never leaves {percent(chance)}, which is no better than guessing; Xavier and He "
        "learn.",
    )


def activations(ran: Mapping[str, Ran]) -> Section:
    """Draw histograms of activations layer by layer."""
    from book_objectives import BOUNDS

    this = ran["activations"]
    kinds = {"std 1": "std 1", "std 0.01": "std 0.01", "xavier": "Xavier", "he": "He"}
    figure, grid = figure_of(8, 6.2, 3, 4, sharex=True, sharey="row")
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
                # Half of ReLU's outputs are 0: show the other half at its own scale.
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
    return figure, table, verdict(
        holds,
        f"with ReLU, the spread falls from {xavier[0]:.2g} to {xavier[-1]:.2g} for Xavier, holds "
        f"for He ({he[0]:.2g} to {he[-1]:.2g}), and is {small[-1]:.2g} in layer 5 for std 0.01.",
    )


def batch_normalization(ran: Mapping[str, Ran]) -> Section:
    """Draw sixteen races between networks with and without batch normalization."""
    this = ran["batch_normalization"]
    stds: list[Any] = [r.trial.hyperparameters["initial_std"] for r in this.results()]
    stds = sorted(set(stds), reverse=True)
    figure, grid = figure_of(8, 6.2, 4, 4, sharex=True, sharey=True)
    table = [["std of the initial weights", "without batch normalization", "with it"]]
    ahead, behind, learned = 0, [], {"none": 0, "before": 0}
    for number, (axes, std) in enumerate(zip(grid.flat, stds, strict=True)):
        last, shown = {}, {}
        for kind, color in (("none", GRAY), ("before", BLUE)):
            (result,) = this.results(batch_normalization=kind, initial_std=std)
            curve = this.curve(result, "training_accuracy")
            axes.plot(range(1, len(curve) + 1), curve, color=color,
                      ls="--" if kind == "none" else "-")
            last[kind] = result.value or 0.0
            shown[kind] = "diverged" if result.value is None else percent(result.value)
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
    return figure, table, verdict(
        not behind and learned["none"] < learned["before"],
        f"after 20 epochs, batch normalization is ahead at {ahead} of 16 standard deviations and "
        f"behind at {len(behind)} ({', '.join(behind) or 'none'}). With it, {learned['before']} "
        f"networks get above 50 %; without it, {learned['none']}.",
        mostly=ahead >= 12,
    )
