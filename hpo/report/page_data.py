"""All that the page of a study shows, as plain values that JSON holds.

docs/record.md describes them. A change that a reader of an earlier format would misread is a new
`FORMAT`; a key more is none.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hpo.distributions import (
    Choices,
    Distribution,
    IntegerDistribution,
    Value,
    describe,
    scale_of,
)
from hpo.moves import Move, by_evidence
from hpo.objective_code import known_as
from hpo.record.values import Recorded, Round
from hpo.report.axis import Axis
from hpo.report.drawing import ordered_results, round_borders, searched_metric, spaces_of
from hpo.report.marks import Coloring
from hpo.report.results import summarize
from hpo.report.scales import Scale, curves_scale, drawable
from hpo.report.timeline import lanes
from hpo.search import confirmation
from hpo.search.best_so_far import points_of
from hpo.search.landscape import Landscape
from hpo.search.ped_anova import ped_anova
from hpo.search.recommendation import Recommendation
from hpo.service.proposals import recommendation
from hpo.text import clean, one_line
from hpo.threads import one_thread
from hpo.toml_text import toml_key, toml_value
from hpo.trial import State, TrialId, TrialResult, rank

FORMAT = 1
CURVE_POINTS = 60_000  # of all curves: of more epochs every second, every third, … is kept
CURVE_DIGITS = 5  # of what is only drawn
STEPS = 40  # along a slice
MESSAGE_CHARACTERS = 300
EXACT = 2**53  # beyond it a browser's numbers have not every digit of a whole one


def page_data(recorded: Recorded, moves: Sequence[Move]) -> dict[str, Any]:
    """Return the data of the page of a study that has a round; the same record, the same data.

    `moves` are the ranges proposed after the last round.
    """
    metric, direction = searched_metric(recorded)
    results = ordered_results(recorded)
    recommended = recommendation(recorded)
    through = recommended.trial.trial.id if recommended else None
    with one_thread():
        landscape = Landscape.of(
            recorded.rounds[-1].search_space, results, recorded.repeats, direction
        )
    if landscape is None or through is None:
        landscape, through = None, None
    elif not landscape.has(through):  # a point by hand may have a 0 where the scale has none
        through = landscape.best
    coloring = Coloring.of(recorded)
    line = points_of(results, direction)
    data = {
        "format": FORMAT,
        "study": clean(recorded.name),
        "metric": clean(metric),
        "direction": direction,
        "objective": clean(known_as(recorded.rounds[0].settings.objective)),
        "summary": {
            **_spent(recorded, results),
            "recommended": _recommended(recommended),
            "confirmed": _confirmed(recorded),
            "test": _test(recorded),
        },
        "rounds": _rounds(recorded),
        "trials": _trials(recorded, results),
        "timeline": _timeline(recorded, results),
        "hyperparameters": _hyperparameters(recorded, results, moves, landscape, through),
        "best_so_far": {
            "place": [point.step for point in line], "value": [point.value for point in line],
        },
        "curves": _curves(metric, results),
        "surface": _surface(landscape, through),
        "scales": {
            "colors": _ends(coloring.scale, 0.0),
            "values": _ends(coloring.heights, 0.12) | {"floor": _floor(coloring.heights)},
            "curves": _ends(_scale_of_curves(metric, results, coloring), 0.05),
        },
    }
    return {name: _finite(value) for name, value in data.items()}


def _spent(recorded: Recorded, results: Sequence[TrialResult]) -> dict[str, Any]:
    """Return the trials by state, the best value, and time and epochs, repeats among them."""
    summary = summarize(recorded.name, recorded)
    everything = [*_trainings(recorded, results), *recorded.repeats]
    began = [r.started for r in everything if r.started]
    ended = [r.started + r.seconds for r in everything if r.started]
    best = next(iter(rank(results, summary["direction"])), None)
    return {
        "state": summary["state"],
        "trials": len(results),
        "states": {s.value: sum(r.state is s for r in results) for s in State},
        "repeats": len(recorded.repeats),
        "epochs": sum(r.epochs for r in everything),
        "seconds": sum(r.seconds for r in everything),
        "began": _moment(min(began)) if began else None,
        "ended": _moment(max(ended)) if ended else None,
        "best": None if best is None else _named(best.trial.id) | {"value": best.value},
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _named(identity: TrialId) -> dict[str, int]:
    return {"round": identity.round, "number": identity.number}


def _recommended(recommended: Recommendation | None) -> dict[str, Any] | None:
    if recommended is None:
        return None
    result = recommended.trial
    return _named(result.trial.id) | {
        "value": result.value, "estimate": recommended.estimate,
        "reason": one_line(recommended.reason),
    }


def _confirmed(recorded: Recorded) -> dict[str, Any] | None:
    """Return the best mean among the confirmed trials, and how many there are."""
    known = confirmation.confirmed(recorded.results, recorded.repeats)
    _, direction = searched_metric(recorded)
    order = confirmation.in_order(list(known.values()), direction)
    if not order:
        return None
    first = order[0]
    return _named(first.found.trial.id) | {
        "mean": first.mean, "standard_error": first.standard_error,
        "values": len(first.values), "trials": len(order),
    }


def _test(recorded: Recorded) -> dict[str, Any] | None:
    if not recorded.looks:
        return None
    last = recorded.looks[-1]
    return {"look": last.number, "when": last.when, "result": one_line(last.result)}


def _rounds(recorded: Recorded) -> list[dict[str, Any]]:
    """Return what each round searched, why its ranges were so, and what came of it."""
    summaries = summarize(recorded.name, recorded)["rounds"]
    borders = round_borders(recorded)
    return [
        {
            "number": round_.number,
            "places": list(borders[round_.number]),
            "trials": summary["trials"],
            "best": summary["best"]["value"] if summary["best"] else None,
            "sampler": round_.settings.sampler,
            "pruner": round_.settings.pruner is not None,
            "parallel": round_.settings.parallel,
            "ended": round_.ended,
            "stopped": one_line(round_.stopped),
            "ranges": _ranges(round_),
        }
        for round_, summary in zip(recorded.rounds, summaries, strict=True)
    ]


def _ranges(round_: Round) -> list[dict[str, str]]:
    decisions = {decision.move.name: decision for decision in round_.decisions}
    ranges = []
    for name, distribution in round_.search_space.items():
        decision = decisions.get(name)
        kind = decision.move.kind if decision and decision.is_taken else ""
        ranges.append({
            "name": clean(name), "range": describe(distribution), "kind": kind,
            "reason": one_line(decision.reason) if decision else "",
        })
    return ranges


def _trials(recorded: Recorded, results: Sequence[TrialResult]) -> dict[str, list[Any]]:
    """Return a column for each fact of the trials, in the order of rounds and numbers."""
    means = confirmation.means(results, recorded.repeats)
    began = min((r.started for r in results if r.started), default=0.0)
    return {
        "round": [r.trial.round for r in results],
        "number": [r.trial.number for r in results],
        "state": [r.state.value for r in results],
        "value": [r.value for r in results],
        "mean": [means.get(r.trial.id, (None, 0))[0] for r in results],
        "error": [r.standard_error for r in results],
        "epoch": [r.epoch for r in results],
        "epochs": [r.epochs for r in results],
        "started": [round(r.started - began, 3) if r.started else None for r in results],
        "seconds": [round(r.seconds, 3) for r in results],
        "place": [one_line(r.place) for r in results],
        "message": [_last_line(r.message) for r in results],
    }


def _timeline(recorded: Recorded, results: Sequence[TrialResult]) -> dict[str, list[Any]]:
    """Return a column for each fact of the trainings that have a time: of trials, or their parts.

    `trial` is the place of one among all, from 0.
    """
    index = {r.trial.id: i for i, r in enumerate(results)}
    bars = sorted(_trainings(recorded, results), key=lambda r: r.trial.id)
    bars = [r for r in bars if r.started and r.trial.original in index]
    began = min((r.started for r in bars), default=0.0)
    return {
        "trial": [index[r.trial.original] for r in bars],
        "part": [r.trial.part for r in bars],
        "started": [round(r.started - began, 3) for r in bars],
        "seconds": [round(r.seconds, 3) for r in bars],
        "place": [one_line(r.place) for r in bars],
        "lane": lanes(bars, sorted({r.place for r in bars})),
    }


def _trainings(recorded: Recorded, results: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the trials that were trained as one, and the parts of the others."""
    return [*(r for r in results if r.parts is None), *recorded.parts]


def _last_line(message: str) -> str:
    lines = message.strip().splitlines()
    return one_line(lines[-1])[:MESSAGE_CHARACTERS] if lines else ""


def _hyperparameters(
    recorded: Recorded,
    results: Sequence[TrialResult],
    moves: Sequence[Move],
    landscape: Landscape | None,
    through: TrialId | None,
) -> list[dict[str, Any]]:
    """Return each hyperparameter as an axis with its values, those that matter most first."""
    _, direction = searched_metric(recorded)
    spaces = spaces_of(recorded)
    shares = ped_anova({r.number: r.search_space for r in recorded.rounds}, results, direction)
    move_of = {move.name: move for move in moves}
    names = [move.name for move in by_evidence(moves) if move.name in spaces]
    found = []
    for name in dict.fromkeys([*names, *spaces]):
        move = move_of.get(name)
        proposed = [] if move is None else [move.new]
        axis = Axis(name, [*spaces[name].values(), *proposed], results)
        found.append({
            "name": clean(name),
            "key": toml_key(name),
            "kind": _kind(spaces[name]),
            "log": axis.log,
            "low": axis.low,
            "high": axis.high,
            "choices": [one_line(label) for label in axis.labels],
            "literals": [toml_value(choice) for choice in axis.seen],
            "values": _values(name, axis, results),
            "ranges": [
                {"round": number, "spans": axis.spans(distribution)}
                for number, distribution in spaces[name].items()
            ],
            "move": None if move is None else _move(move, axis),
            "ped_anova": shares.get(name),
            "slice": _slice(name, axis, move, landscape, through),
        })
    return found


def _kind(spaces: Mapping[int, Distribution]) -> str:
    last = list(spaces.values())[-1]
    if isinstance(last, Choices):
        return "choice"
    return "integer" if isinstance(last, IntegerDistribution) else "float"


def _values(name: str, axis: Axis, results: Sequence[TrialResult]) -> list[Any]:
    """Return the values with all their digits, choices by their index, None for nowhere."""
    if axis.choices is not None:
        positions = axis.positions(results)
        return [None if math.isnan(place) else int(place) for place in positions]
    return [_number(r.trial.hyperparameters.get(name)) for r in results]


def _number(value: Value | None) -> Any:
    """Return a number, or as text one that a browser would round."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(value) if isinstance(value, int) and abs(value) > EXACT else value


def _move(move: Move, axis: Axis) -> dict[str, Any]:
    return {
        "kind": move.kind,
        "old": describe(move.old),
        "new": describe(move.new),
        "spans": axis.spans(move.new),
        "reason": one_line(move.reason),
        "p_value": move.p_value,
    }


def _slice(
    name: str, axis: Axis, move: Move | None, landscape: Landscape | None, through: TrialId | None
) -> dict[str, Any] | None:
    """Return the surface along one hyperparameter, over the old and the new range."""
    if move is None or landscape is None or through is None:
        return None
    old = landscape.search_space[name]
    values: Sequence[Value]
    at: list[float]
    if isinstance(old, Choices):
        values = old.choices
        at = [float((axis.choices or {})[repr(choice)]) for choice in values]
    else:
        edges = [edge for d in (old, move.new) for span in axis.spans(d) for edge in span]
        at = _between(min(edges), max(edges), axis.log)
        values = at
    with one_thread():
        expected = landscape.along(name, values, through)
    return {
        "at": at, **{
            side: [_rounded(v) for v in getattr(expected, side).tolist()]
            for side in ("mean", "low", "high")
        },
    }


def _between(low: float, high: float, log: bool) -> list[float]:
    spaced = np.geomspace if log else np.linspace
    return [_rounded(value) for value in spaced(low, high, STEPS + 1).tolist()]


def _rounded(value: float) -> float:
    return float(f"{value:.{CURVE_DIGITS}g}")


def _curves(metric: str, results: Sequence[TrialResult]) -> dict[str, Any]:
    """Return the searched metric by epoch, and how many epochs lie between two points.

    The last point of a curve is its last epoch.
    """
    curves = [r.curve(metric) for r in results]
    stride = max(math.ceil(sum(map(len, curves)) / CURVE_POINTS), 1)
    kept = [
        [*curve[: len(curve) - 1 : stride], *curve[-1:]] for curve in curves
    ]
    return {
        "stride": stride,
        "values": [[_rounded(v) for v in drawable(curve).tolist()] for curve in kept],
    }


def _scale_of_curves(
    metric: str, results: Sequence[TrialResult], coloring: Coloring
) -> Scale:
    _, direction = searched_metric(coloring.recorded)
    finite = [
        [v for v in drawable(r.curve(metric)).tolist() if math.isfinite(v)] for r in results
    ]
    if not any(finite):
        return coloring.heights
    return curves_scale(finite, direction)


def _ends(scale: Scale, margin: float) -> dict[str, Any]:
    """Return a scale by its two ends, and which of them is the worse one."""
    low, high = scale.padded(margin)
    return {"low": low, "high": high, "log": scale.log, "worse_is_low": scale.worst < scale.best}


def _floor(scale: Scale) -> float:
    """Return where trials without a value are drawn, and those far off: below all others."""
    return scale.padded(0.08)[int(scale.best < scale.worst)]


def _surface(landscape: Landscape | None, through: TrialId | None) -> dict[str, Any] | None:
    """Return the surface as a sum over trials, from which a browser draws any plane of it.

    Its expected height at a point is the sum of `weights` times `height` times the exponential
    of -1/2 times the squared distance, in `lengths`, plus the sum of `weights`. `unit` has the
    values of 0 and 1 on the unit interval of a range, as logarithms to base 10 where it is `log`;
    a choice has its index, and two of them are one apart.
    """
    if landscape is None or through is None:
        return None
    surface = landscape.surface
    units: list[list[float] | None] = []
    for distribution in landscape.search_space.values():
        ends = scale_of(distribution)
        if ends is None:
            units.append(None)
            continue
        edges = np.array([ends.low, ends.high], dtype=np.float64)
        at = [ends.to_unit(edge) for edge in edges]
        scaled = np.log10(edges) if ends.log else edges
        slope = (scaled[1] - scaled[0]) / (at[1] - at[0])
        zero = scaled[0] - slope * at[0]
        units.append([float(zero), float(zero + slope)])
    heights, values = zip(*landscape.levels, strict=True)
    return {
        "names": [clean(name) for name in landscape.search_space],
        "units": units,
        "lengths": surface.lengths.tolist(),
        "height": surface.height,
        "weights": [float(f"{w:.9g}") for w in surface.weights.tolist()],
        "positions": [[_rounded(p) for p in row] for row in surface.positions.tolist()],
        "levels": {
            "height": [_rounded(h) for h in heights], "value": [_rounded(v) for v in values],
        },
        "through": {**_named(through), "position": landscape.position(through).tolist()},
    }


def _finite(value: Any) -> Any:
    """Return plain values with None for numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value
