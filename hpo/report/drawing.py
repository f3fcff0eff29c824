"""What figures are drawn with: style, panels and axes of hyperparameters."""

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo import wording
from hpo.distributions import Choices, Distribution
from hpo.errors import InputError
from hpo.record.values import Recorded
from hpo.report.palette import GRAY, INK
from hpo.report.scales import Array, drawable
from hpo.report.ticks import rounds_text, shortened
from hpo.search import confirmation
from hpo.trial import Direction, State, TrialResult

if TYPE_CHECKING:  # Matplotlib takes half a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox


DOTS_PER_INCH = 180
HEAD = 0.25  # inches at the top of each figure, where it says what it shows
WIDTH = 8.2  # inches, for text that can be read where the MLflow UI shows it 600 pixels wide

INKED = {  # settings of Matplotlib for text and axes in these colors
    "axes.edgecolor": GRAY,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}
_STYLE = INKED | {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.5,
    "text.parse_math": False,  # a name with two dollar signs is a name
}


@contextmanager
def style() -> Iterator[None]:
    """Set Matplotlib's defaults and ours, whatever the user's own style is."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # else it tells of its font cache
    import matplotlib

    settings: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    with matplotlib.rc_context(settings | _STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*missing from font")
        yield


@style()
def save(figure: "Figure", path: Path) -> Path:
    """Write a figure as a PNG file, the same bytes every time; return its path.

    Raises InputError where that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(
            path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None},
            bbox_inches=_page(figure),
        )
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; choose another folder") from error
    return path


def _page(figure: "Figure") -> "Bbox":
    """Return the page in inches, as much larger as a long number or name at its side takes."""
    from matplotlib.transforms import Bbox

    page = Bbox.from_extents(0, 0, figure.get_figwidth(), figure.get_figheight())
    return Bbox.union([page, figure.get_tightbbox()])


def searched_metric(recorded: Recorded) -> tuple[str, Direction]:
    """Return the name of the metric that the study searches by, and which way is better."""
    settings = recorded.rounds[0].settings
    return settings.metric, settings.direction


def ordered_results(recorded: Recorded) -> list[TrialResult]:
    """Return the trials of the rounds at hand, in order of round and number."""
    shown = {round_.number for round_ in recorded.rounds}
    return sorted(
        (r for r in recorded.results if r.trial.round in shown),
        key=lambda r: r.trial.id,
    )


def has_choices(recorded: Recorded) -> bool:
    """Say whether some round searches a categorical hyperparameter."""
    return any(
        isinstance(d, Choices) for r in recorded.rounds
        for d in r.search_space.values()
    )


def spaces_of(recorded: Recorded) -> dict[str, dict[int, Distribution]]:
    """Return the distributions of each hyperparameter by round."""
    spaces: dict[str, dict[int, Distribution]] = {}
    for round_ in recorded.rounds:
        for name, distribution in round_.search_space.items():
            spaces.setdefault(name, {})[round_.number] = distribution
    return spaces


def round_borders(recorded: Recorded) -> dict[int, tuple[float, float]]:
    """Return where each round begins and ends among the trials in order, which count from 1.

    A round without a trial yet takes the place of one.
    """
    borders, end = {}, 0.5
    for round_ in recorded.rounds:
        count = sum(r.trial.round == round_.number for r in recorded.results)
        borders[round_.number] = end, end + max(count, 1)
        end += max(count, 1)
    return borders


def values_of(results: Sequence[TrialResult]) -> Array:
    """Return the values of trials, NaN where there is none."""
    values = [math.nan if result.value is None else result.value for result in results]
    return drawable(np.where(np.isfinite(values), values, np.nan))


def in_state(results: Sequence[TrialResult], state: State) -> NDArray[np.bool_]:
    """Say which results are in this state."""
    return np.array([result.state is state for result in results], dtype=bool)


def running_best(values: Array, direction: Direction) -> Array:
    """Return the best of the first n values, for each n; NaN while there is none."""
    best = np.fmax if direction == "maximize" else np.fmin
    return np.asarray(best.accumulate(values), dtype=np.float64) if values.size else values


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How large a figure of panels is, in inches; `height` is that of one panel.

    `left` to `bottom` are the margins around all panels, `across` and `down` the gaps between.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    across: float = 0.0
    down: float = 0.0


def panel_grid(
    count: int, columns: int, layout: Layout, *, sharex: bool = False, sharey: bool = False
) -> "tuple[Figure, list[Axes]]":
    """Return a figure with so many panels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = math.ceil(count / columns)
    tall = rows * layout.height + (rows - 1) * layout.down + layout.top + layout.bottom
    wide = (layout.width - layout.left - layout.right - (columns - 1) * layout.across) / columns
    figure = Figure((layout.width, tall))
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        rows, columns, squeeze=False, sharex=sharex, sharey=sharey,
        gridspec_kw={
            "left": layout.left / layout.width, "right": 1 - layout.right / layout.width,
            "bottom": layout.bottom / tall, "top": 1 - layout.top / tall,
            "wspace": layout.across / wide, "hspace": layout.down / layout.height,
        },
    ).ravel().tolist()
    for axes in panels[count:]:
        axes.remove()
    for axes in panels[:count]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.minorticks_off()
    return figure, panels[:count]


def empty_figure(recorded: Recorded, text: str) -> "Figure":
    """Return a figure that says why there is nothing to see."""
    layout = Layout(width=5.0, height=1.0, left=0.2, right=0.2, top=0.4, bottom=0.2)
    figure, (axes,) = panel_grid(1, 1, layout)
    head(figure, recorded, rounds_text([r.number for r in recorded.rounds]))
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GRAY)
    return figure


def trial_text(result: TrialResult) -> str:
    """Return which trial this is, and its value: "round 2 · trial 16 — 0.9000"."""
    (value,) = wording.column([result.value])
    text = f"round {result.trial.round} · trial {result.trial.number}"
    return f"{text} — {value}" if value else text


def best_first(recorded: Recorded) -> list[TrialResult]:
    """Return the complete trials at hand, those that were confirmed by their mean before others."""
    _, direction = searched_metric(recorded)
    found = {result.trial.id: result for result in ordered_results(recorded)}
    ranked = confirmation.ranked(list(found.values()), recorded.repeats, direction)
    return [found[result.trial.id] for result in ranked]  # with the value that was found


def best_label(recorded: Recorded) -> str:
    """Return what the mark or line of the best trial is called, with its value or its mean."""
    best = best_first(recorded)[0]
    mean = _mean(best, recorded)
    known = "best" if math.isnan(mean) else "best mean"
    return f"{known}: {wording.column([best.value if math.isnan(mean) else mean])[0]}"


def _mean(result: TrialResult, recorded: Recorded) -> float:
    """Return the mean of the repeats of a trial; NaN where it was not confirmed."""
    return confirmation.means([result], recorded.repeats).get(result.trial.id, (math.nan, 0))[0]


def best_text(recorded: Recorded) -> str:
    """Return which trial is the best of those at hand; without one, which rounds there are."""
    best = best_first(recorded)
    if best:
        mean = _mean(best[0], recorded)
        if math.isnan(mean):
            return trial_text(best[0])
        return f"{trial_text(replace(best[0], value=None))} — mean {wording.column([mean])[0]}"
    return rounds_text([r.number for r in recorded.rounds])


def head(figure: "Figure", recorded: Recorded, text: str) -> None:
    """Write the name of the study and a text at the top, over the `HEAD` inches kept for it."""
    width, height = figure.get_size_inches()
    name = shortened(recorded.name, max(int(width * 10) - len(text), 12))
    figure.text(
        0.12 / width, 1 - 0.1 / height, f"{name} · {text}" if name else text, va="top",
        fontsize=9.5, fontweight="bold",
    )


def draw_legend(figure: "Figure", panels: "Sequence[Axes]") -> None:
    """Say what the marks and lines mean, under the head of a figure."""
    handles = legend_handles(panels)
    if handles:
        figure.legend(
            handles.values(), handles, loc="upper right", ncols=len(handles), borderaxespad=0.4,
            bbox_to_anchor=(1, 1 - HEAD / figure.get_figheight()), handletextpad=0.4,
            columnspacing=1.4,
        )


def panel_inches(axes: "Axes") -> tuple[float, float]:
    """Return the width and the height of a panel."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position()
    return box.width * figure.get_figwidth(), box.height * figure.get_figheight()


def legend_handles(panels: "Sequence[Axes]") -> dict[str, Any]:
    """Return what the panels show, by label, each once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return found


def draw_line(axes: "Axes", curve: Sequence[float], **look: Any) -> None:
    """Draw a metric by epoch, one epoch as a dot."""
    if len(curve):
        axes.plot(
            range(1, len(curve) + 1), drawable(curve), linewidth=1.3, markersize=3.5,
            marker="o" if len(curve) == 1 else None, **look,
        )
