"""Learning curves: the best trials one by one, and all in one panel."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hpo import wording
from hpo.moves import Move, by_evidence
from hpo.record.values import Recorded
from hpo.report.drawing import (
    HEAD,
    WIDTH,
    Layout,
    best_first,
    best_label,
    best_text,
    draw_legend,
    draw_line,
    empty_figure,
    head,
    ordered_results,
    panel_grid,
    searched_metric,
    style,
    trial_text,
)
from hpo.report.palette import DIVERGED, GRAY, INK, PALE, TRAINING, VALIDATION
from hpo.report.scales import curves_scale, drawable
from hpo.report.ticks import shortened, value_text, value_ticks, whole_ticks
from hpo.trial import State, TrialId, TrialResult

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Histories: TypeAlias = Mapping[TrialId, Sequence[float]]

# How all curves look by the end of their trials; those drawn later lie on top.
_ENDS: Mapping[State, Mapping[str, Any]] = {
    State.COMPLETE: {"color": VALIDATION, "alpha": 0.55},
    State.PRUNED: {"color": GRAY, "alpha": 0.7},
    State.STOPPED: {"color": GRAY, "alpha": 0.7},
    State.FAILED: {"color": INK, "alpha": 0.7},
    State.INFEASIBLE: {"color": GRAY, "alpha": 0.7},
    State.DIVERGED: {"color": DIVERGED, "alpha": 0.7},
}
CURVES = 20  # trials whose learning curves are drawn


def training_histories(
    recorded: Recorded, history: Callable[[str, str], Sequence[float]]
) -> dict[TrialId, Sequence[float]]:
    """Return what the trials that `learning_curves` shows reached on the training rows by epoch.

    That is `training_loss` where the study searches by `validation_loss`. In the record that is
    no part of a trial's result, and read trial by trial.
    """
    metric, _ = searched_metric(recorded)
    name = _training_name(metric)
    histories: dict[TrialId, Sequence[float]] = {}
    for result in best_first(recorded)[:CURVES]:
        identity = result.trial.id
        if name == metric or name not in result.metrics[-1]:
            continue
        known = result.curve(name)
        if len(known) < result.epochs and identity in recorded.runs:
            known = list(history(recorded.runs[identity], name))
        histories[identity] = known
    return histories


def _training_name(metric: str) -> str:
    """Return what a metric of validation rows is called on the training rows, or its own name."""
    return metric.replace("validation", "training", 1)


@style()
def learning_curves(
    recorded: Recorded, histories: Histories, moves: Sequence[Move] = ()
) -> "Figure":
    """Draw the best trials, each in a panel: the searched metric solid, on training rows dashed.

    `histories` are the training curves. Above each panel stand the hyperparameters that matter
    most by the evidence of `moves`.
    """
    metric, direction = searched_metric(recorded)
    training_label = shortened(_training_name(metric), 32)
    best = best_first(recorded)[:CURVES]
    if not best:
        return empty_figure(recorded, "no complete trials yet")
    given = best[0].trial.hyperparameters
    names = list(dict.fromkeys([*(m.name for m in by_evidence(moves) if m.name in given), *given]))
    lines = min(len(names), 6)
    columns = min(len(best), 4)
    rows = math.ceil(len(best) / columns)
    under = 0.13 * lines + 0.05  # inches between a title and its panel
    layout = Layout(
        width=max(1.85 * columns + 0.8, 3.6), height=1.0, left=0.65, right=0.2,
        top=under + 0.58 + HEAD, bottom=0.5, across=0.26, down=under + 0.42,
    )
    figure, panels = panel_grid(len(best), columns, layout, sharex=True, sharey=True)
    drawn = []
    for result, axes in zip(best, panels, strict=True):
        curve = result.curve(metric)
        training = histories.get(result.trial.id, ())
        drawn.append(_finite([*curve, *training]))
        draw_line(axes, training, color=TRAINING, linestyle=(0, (3, 1.5)), label=training_label)
        draw_line(axes, curve, color=VALIDATION, linestyle="-", label=shortened(metric, 32))
        _mark_value(axes, result, len(curve), VALIDATION)
        axes.set_title(trial_text(result), pad=72 * under + 1, fontsize=8)
        values = [
            shortened(value_text(result.trial.hyperparameters.get(name)), 14) for name in names
        ]
        shown = [
            f"{shortened(name, 28 - len(value))} {value}"
            for name, value in zip(names, values, strict=True)
        ]
        if len(shown) > lines:
            shown[lines - 1 :] = [f"and {len(shown) - lines + 1} more"]
        axes.annotate(
            "\n".join(shown), (0.5, 1), (0, 3), "axes fraction", textcoords="offset points",
            ha="center", va="bottom", fontsize=7.5, color=GRAY, linespacing=1.1,
        )
        axes.grid(color=PALE, linewidth=0.4)
    longest = max(len(result.metrics) for result in best)
    panels[0].set_xlim(1, max(longest, 2))
    panels[0].set_xticks(sorted({1, math.ceil(longest / 2), longest}))
    scale = curves_scale(drawn, direction)
    panels[0].set_yscale("log" if scale.log else "linear")
    panels[0].set_ylim(*scale.padded(0.06))
    value_ticks(panels[0], scale)
    for index, axes in enumerate(panels):
        last = index + columns >= len(best)
        axes.tick_params(labelbottom=last, labelleft=index % columns == 0)
        if last:
            axes.set_xlabel("epoch", labelpad=2)
    figure.text(
        0.12 / figure.get_figwidth(), 0.5, shortened(metric, 20 * rows),
        rotation="vertical", va="center", ha="center",
    )
    of = wording.count(len(ordered_results(recorded)), "trial")
    few = f"the best {len(best)}" if len(best) > 1 else "the best"
    head(figure, recorded, f"{few} of {of}")
    draw_legend(figure, panels)
    return figure


@style()
def all_curves(recorded: Recorded) -> "Figure":
    """Draw the searched metric of every trial by epoch, by how the trial ended; the best on top.

    A pruned or diverged trial shows where it stopped.
    """
    metric, direction = searched_metric(recorded)
    results = [r for r in ordered_results(recorded) if r.curve(metric)]
    if not results:
        return empty_figure(recorded, "no trial has finished an epoch yet")
    layout = Layout(width=WIDTH, height=3.6, left=0.85, right=0.3, top=0.4 + HEAD, bottom=0.55)
    figure, (axes,) = panel_grid(1, 1, layout)
    for state, look in _ENDS.items():
        curves = [r.curve(metric) for r in results if r.state is state]
        _draw_bundle(axes, curves, state.value, **look)
    for result in best_first(recorded)[:1]:
        curve = result.curve(metric)
        draw_line(axes, curve, color=INK, label=best_label(recorded), zorder=3)
        _mark_value(axes, result, len(curve), INK)
    drawn = [_finite(r.curve(metric)) for r in results]
    longest = max(len(r.curve(metric)) for r in results)
    axes.set_xlim(1, max(longest, 2))
    axes.set_xticks(whole_ticks(longest, 10))
    if any(drawn):
        scale = curves_scale(drawn, direction)
        axes.set_yscale("log" if scale.log else "linear")
        axes.set_ylim(*scale.padded(0.06))
        value_ticks(axes, scale)
    axes.set_xlabel("epoch")
    axes.set_ylabel(shortened(metric, 44))
    axes.grid(axis="y", color=PALE, linewidth=0.4)
    head(figure, recorded, best_text(recorded))
    draw_legend(figure, [axes])
    return figure


def _finite(curve: Sequence[float]) -> list[float]:
    """Return the values of a curve that a scale has to hold."""
    return [value for value in drawable(curve).tolist() if math.isfinite(value)]


def _mark_value(axes: "Axes", result: TrialResult, epochs: int, color: str) -> None:
    """Mark the value of a trial on its curve, where that is not the last one."""
    if result.epoch is not None and result.value is not None and result.epoch < epochs:
        axes.plot(
            result.epoch, drawable([result.value]), "o", color=color, markersize=3.5, zorder=3
        )


def _draw_bundle(
    axes: "Axes", curves: Sequence[Sequence[float]], label: str, *, color: str, alpha: float
) -> None:
    """Draw many curves of one look, as thin as they are many, with a dot where each ends."""
    from matplotlib.collections import LineCollection

    if not curves:
        return
    lines = [np.column_stack([np.arange(1, len(c) + 1), drawable(c)]) for c in curves]
    many = max(len(curves) / 60, 1.0)
    axes.add_collection(LineCollection(
        lines, colors=color, linewidths=0.9 / many**0.25, alpha=alpha / many**0.5,
        label=f"_{label}",
    ))
    axes.plot([], [], color=color, alpha=alpha, label=label)  # as pale, it would not be read
    ends = np.array([line[-1] for line in lines])
    axes.scatter(ends[:, 0], ends[:, 1], s=5.0, color=color, linewidths=0, clip_on=False)
