"""The sections on how well a network does on other rows: overfitting, and what helps."""


from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from book_drawing import Array, Ran, Section, draw_by_epoch, figure_of, percent, verdict
from matplotlib.axes import Axes

from hpo.data.loading import load
from hpo.objective import Given
from hpo.report.palette import (
    BLUE,
    GRAY,
    INK,
    PALE,
    TRAINING,
    VALIDATION,
)
from hpo.study import StudyFile
from hpo.threads import limit_threads
from hpo.trial import TrialResult

if TYPE_CHECKING:
    from hpo.objective import Model


def _gap(ran: Ran, axes: Axes, **values: object) -> Array:
    """Draw training and validation accuracy by epoch; return their final values, (2, trials)."""
    training = ran.curves("training_accuracy", **values)
    validation = ran.curves("validation_accuracy", **values)
    epochs = np.arange(1, training.shape[1] + 1)
    axes.fill_between(epochs, validation.mean(axis=0), training.mean(axis=0), color="#f3f3f3", lw=0)
    draw_by_epoch(axes, training, TRAINING, "on the 300 training rows")
    draw_by_epoch(axes, validation, VALIDATION, "on 2,700 validation rows")
    axes.set(xlabel="epoch", ylim=(0, 1.02))
    return np.array([training[:, -1], validation[:, -1]])


def _gap_table(rows: Mapping[str, Array]) -> list[list[str]]:
    table = [["", "training accuracy", "validation accuracy", "gap (points)", "range over seeds"]]
    for name, ends in rows.items():
        training, validation = ends.mean(axis=1)
        gaps = 100 * (ends[0] - ends[1])
        table.append([name, percent(training), percent(validation), f"{gaps.mean():.1f}",
                      f"{gaps.min():.1f} to {gaps.max():.1f}"])
    return table


def overfitting(ran: Mapping[str, Ran]) -> Section:
    """Draw how a network memorizes 300 rows."""
    figure, axes = figure_of(6, 3.4)
    ends = _gap(ran["overfitting"], axes)
    axes.set_ylabel("accuracy")
    axes.legend(loc="lower right")
    training, validation = ends.mean(axis=1)
    return figure, _gap_table({"no regularization": ends}), verdict(
        training > 0.99 and validation < 0.85,
        f"{percent(training)} in training, {percent(validation)} in validation.",
    )


def _two_gaps(ran: Ran, name: str, strength: float, titles: tuple[str, str]) -> Section:
    """Draw the gap without and with a regularizer."""
    figure, (left, right) = figure_of(8, 3.4, 1, 2, sharey=True)
    rows = {}
    for axes, value, title in zip((left, right), (0.0, strength), titles, strict=True):
        rows[title] = _gap(ran, axes, **{name: value})
        axes.set_title(title)
    left.set_ylabel("accuracy")
    left.legend(loc="lower right")
    without, among = (ends[0] - ends[1] for ends in rows.values())
    before, after = (float(ends[1].mean()) for ends in rows.values())
    return figure, _gap_table(rows), verdict(
        among.max() < without.min(),
        f"the gap goes from {100 * without.mean():.1f} to {100 * among.mean():.1f} points, and "
        f"validation accuracy from {percent(before)} to {percent(after)}.",
        mostly=among.mean() < without.mean(),
    )


def weight_decay(ran: Mapping[str, Ran]) -> Section:
    """Draw what weight decay does to the gap."""
    titles = ("no weight decay", "weight decay 0.1")
    return _two_gaps(ran["weight_decay"], "weight_decay", 0.1, titles)


def dropout(ran: Mapping[str, Ran]) -> Section:
    """Draw what dropout does to the gap."""
    return _two_gaps(ran["dropout"], "dropout_rate", 0.2, ("no dropout", "dropout 0.2"))


def _train_again(study: StudyFile, results: Sequence[TrialResult]) -> Iterator[tuple[str, Array]]:
    """Train trials once more; yield a name and the validation rows' probabilities for each.

    Raises ValueError if a trial does not reproduce its recorded value, to the last bit.
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
            raise ValueError(
                f"trial {trial.number} did not reproduce its recorded value; was it recorded on "
                "another machine?"
            )
        yield f"network {trial.number}", model.predict(data.validation.inputs)


def ensemble(ran: Mapping[str, Ran]) -> Section:
    """Draw how well five networks do, each alone and all together."""
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
    figure, axes = figure_of(6, 2.6)
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
    return figure, table, verdict(
        joint > mean,
        f"the ensemble is {100 * (joint - mean):.2f} points above the networks' average, and "
        f"better than {better} of the {len(alone)} networks.",
    )
