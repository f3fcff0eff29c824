"""The sections on the search for hyperparameters, and the last one, on convolutions."""


from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from book_drawing import Ran, Section, figure_of, percent, rate_text, values_of, verdict

from hpo.distributions import describe
from hpo.report.palette import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    VERMILION,
)
from hpo.trial import rank

if TYPE_CHECKING:
    pass


def grid_random(ran: Mapping[str, Ran]) -> Section:
    """Draw the same budget spent on a grid and at random."""
    figure, (left, right) = figure_of(8, 3.5, 1, 2, sharex=True, sharey=True)
    attempts = {"grid": ran["grid_search"].results()} | {
        f"random, {n}": ran["random_search"].of_round(n) for n in range(1, 5)
    }
    table = [["27 trials", "best validation accuracy", "its learning rate",
              "trials within 5 points of the overall best"]]
    best = {name: max(values_of(results)) for name, results in attempts.items()}
    for name, results in attempts.items():
        top = rank(results, "maximize")[0]
        close = sum(value > max(best.values()) - 0.05 for value in values_of(results))
        table.append([name, percent(best[name]),
                      f"{top.trial.hyperparameters['learning_rate']:.2g}", str(close)])
    colors = (VERMILION, BLUE, GREEN, ORANGE, GRAY)
    for axes, names in ((left, ["grid"]), (right, [n for n in attempts if n != "grid"])):
        for name in names:
            color = colors[list(attempts).index(name)]
            rates = [r.trial.hyperparameters["learning_rate"] for r in attempts[name]]
            axes.plot(rates, values_of(attempts[name]), "o", ms=4.2, color=color, mew=0, alpha=0.8,
                      label=name)
        axes.set(xscale="log", xlabel="learning rate", ylim=(0, 1))
    left.axhline(best["grid"], color=VERMILION, lw=0.8, ls=":")
    right.axhline(best["grid"], color=VERMILION, lw=0.8, ls=":")
    left.set(ylabel="validation accuracy", title="a grid: 27 trials, 3 learning rates")
    right.set_title("random: 4 times 27 trials, 108 learning rates")
    right.legend(loc="upper left")
    wins = sum(value > best["grid"] for name, value in best.items() if name != "grid")
    return figure, table, verdict(
        wins == 4,
        f"random search beats the grid's {percent(best['grid'])} in {wins} of 4 runs.",
        mostly=wins == 3,
    )


def search(ran: Mapping[str, Ran]) -> Section:
    """Draw the textbook's own search, with random search and with TPE."""
    figure, (left, right) = figure_of(8, 3.5, 1, 2)
    book = ran["mnist_book"]
    runs = {"random": book.of_round(1), "TPE": ran["tpe_search"].results()}
    table = [["100 trials", "best", "median", "trials above 60 %", "five best learning rates"]]
    numbers = {}
    for (name, results), color in zip(runs.items(), (VERMILION, BLUE), strict=True):
        values = values_of(results)
        trials = range(1, len(values) + 1)
        left.step(trials, np.maximum.accumulate(values), where="post", color=color, label=name)
        left.plot(trials, values, "o", ms=2.4, mew=0, alpha=0.6, color=color)
        right.plot(trials, [r.trial.hyperparameters["learning_rate"] for r in results], "o",
                   ms=3.6, mew=0, alpha=0.75, color=color)
        numbers[name] = (max(values), float(np.median(values)), sum(v > 0.6 for v in values))
        best = rank(results, "maximize")[:5]
        rates = ", ".join(f"{r.trial.hyperparameters['learning_rate']:.2g}" for r in best)
        table.append([name, *(percent(v) for v in numbers[name][:2]), str(numbers[name][2]),
                      rates])
    second = book.of_round(2)
    top = rank(second, "maximize")[0]
    values = values_of(second)
    rates = ", ".join(
        f"{r.trial.hyperparameters['learning_rate']:.2g}" for r in rank(second, "maximize")[:5]
    )
    table.append(["random, round 2", percent(top.value or 0), percent(float(np.median(values))),
                  str(sum(v > 0.6 for v in values)), rates])
    left.set(xlabel="trial", ylabel="validation accuracy", ylim=(0, 1),
             title="each trial, and the best so far")
    right.set(xlabel="trial", ylabel="learning rate", yscale="log",
              title="where they look")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    proposed = book.recorded.rounds[1]
    moved = describe(proposed.search_space["learning_rate"])
    reasons = ", ".join(f"`{d.move.name}` ({d.move.reason})" for d in proposed.decisions)
    return figure, table, verdict(
        numbers["TPE"][1] > numbers["random"][1],
        f"the median trial reaches {percent(numbers['TPE'][1])} with TPE and "
        f"{percent(numbers['random'][1])} with random search; the best trials reach "
        f"{percent(numbers['TPE'][0])} and {percent(numbers['random'][0])}. For round 2, hpo "
        f"proposed learning rates from {moved}, and the best trial there reached "
        f"{percent(top.value or 0)}. The reasons it gave: {reasons}.",
    )


def cnn(ran: Mapping[str, Ran]) -> Section:
    """Draw what a convolutional network learns in three epochs."""
    this = ran["cnn"]
    figure, axes = figure_of(6, 3.2)
    table = [["learning rate", "epoch 1", "epoch 2", "epoch 3"]]
    colors = dict(zip(sorted(this.study.search_space["learning_rate"].choices),
                      (GREEN, BLUE, VERMILION), strict=True))
    best = 0.0
    for rate, color in colors.items():
        (result,) = this.results(learning_rate=rate)
        curve = this.curve(result, "validation_accuracy")
        axes.plot(range(1, len(curve) + 1), curve, "-o", ms=4, color=color,
                  label=f"learning rate {rate_text(rate)}")
        table.append([rate_text(rate), *map(percent, curve)])
        best = max(best, curve[-1])
    axes.set(xlabel="epoch", ylabel="validation accuracy", xticks=(1, 2, 3))
    axes.legend(loc="lower right")
    perceptron = max(values_of(ran["optimizers"].results()))
    return figure, table, verdict(
        best > perceptron,
        f"{percent(best)} after 3 epochs; the best perceptron of the optimizer study reaches "
        f"{percent(perceptron)} after 20, on as many training rows.",
    )
