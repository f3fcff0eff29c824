"""What the trials say about each hyperparameter: values, influence, and sampled surfaces."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from hpo.distributions import Value, scale_of
from hpo.moves import Move
from hpo.search.surface import (
    MINIMUM_TRIALS,
    SURFACES,
    Array,
    Observations,
    Ranked,
)
from hpo.trial import State

POWERS = ((1, 2), (1, 2, 3, 4))  # by which a range enters the test of its influence,
MANY = 60  # the second from so many trials on: with them two optima are seen
KEPT_BEST = 3  # trials that stay inside in any case; the best alone may be luck
LINES = 4  # best trials through which the surfaces are searched for their maxima
BEYOND = (0.25, 0.5, 0.75, 1.0)  # where choices are judged, of what a range is moved out by


class Evidence(Observations):
    """What the trials say about each hyperparameter; for a conditional one, those that have it.

    A hyperparameter in parts counts as one here, with a value for each part.
    """

    @cached_property
    def columns(self) -> dict[str, list[int]]:
        """The columns of each hyperparameter; one in parts has several."""
        columns: dict[str, list[int]] = {}
        for column, (name, d) in enumerate(self.search_space.items()):
            columns.setdefault(d.part_of or name, []).append(column)
        return columns

    def parts(self, name: str) -> list[str]:
        """Return the parts of a hyperparameter, or its own name."""
        return [self.names[column] for column in self.columns[name]]

    def values(self, name: str) -> list[tuple[Ranked, Value]]:
        """Return the values of a hyperparameter with their trials, best trial first."""
        return [
            (trial, trial.hyperparameters[part])
            for trial in self.trials for part in self.parts(name) if part in trial.hyperparameters
        ]

    def of(self, name: str) -> Array:
        """Return the positions of these values."""
        columns = self.columns[name]
        positions: Array = self.positions[:, columns][self.is_there[:, columns]]
        return positions

    def trials_of(self, name: str) -> int:
        """Return how many trials have a value for a hyperparameter."""
        return int(self.is_there[:, self.columns[name]].any(axis=1).sum())

    def best(self, name: str) -> list[int]:
        """Return which values stay inside: those of the best trials, and any tied with the last."""
        values = self.values(name)
        own = [trial for trial, _ in values if trial.state is State.COMPLETE and not trial.group]
        everybody = [trial for trial, _ in values if trial.state is State.COMPLETE]
        # What was best on other data holds no edge, once there is something better to go by.
        complete = list(dict.fromkeys(
            trial.id for trial in (own if len(own) >= KEPT_BEST else everybody)
        ))
        if not complete:
            return [i for i, (trial, _) in enumerate(values) if trial is values[0][0]]
        kept = complete[:KEPT_BEST][-1]
        last = next(trial.rank for trial, _ in values if trial.id == kept)
        counted = set(complete)
        return [
            i for i, (trial, _) in enumerate(values)
            if trial.state is State.COMPLETE and trial.rank <= last and trial.id in counted
        ]

    @cached_property
    def p_values(self) -> dict[str, float]:
        """How often each hyperparameter would seem to matter this much by chance.

        Partial F-tests in a polynomial regression of the scores. All hyperparameters are in it at
        once, so that one is not credited with what another did while a sampler moved both; with too
        few trials for that, each is tested alone. A hyperparameter is tested together with those
        that depend on it.
        """
        from scipy.special import fdtrc  # SciPy takes long to import: only where it is used

        columns = [self._regressors(name) for name in self.columns]
        p_values = {}
        of_all = self._residual(columns)
        for i, name in enumerate(self.columns):
            others, (full, rank) = [
                column for column, other in zip(columns, self.columns, strict=True)
                if other != name and not self._depends(self.parts(other)[0], name)
            ], of_all
            if len(self.scores) - rank < MINIMUM_TRIALS / 2:
                others, (full, rank) = [], self._residual([columns[i]])
            rest, rest_rank = self._residual(others, without=name)
            more, left = rank - rest_rank, len(self.scores) - rank
            p_values[name] = math.nan
            if more > 0 and left > 0:
                ratio = (rest - full) / more / max(full / left, 1e-12)
                p_values[name] = float(fdtrc(more, left, max(ratio, 0.0)))
        return p_values

    def _regressors(self, name: str) -> Array:
        """Return the columns by which a hyperparameter enters the regression.

        Those of parts are averaged: the question is where their common range should be.
        """
        indices = self.columns[name]
        there = self.is_there[:, indices]
        pooled = _columns(self.of(name), bool(self.is_choice[indices[0]]))
        spread = np.zeros((*there.shape, pooled.shape[1]))
        spread[there] = pooled
        return np.asarray(spread.sum(axis=1) / np.maximum(there.sum(axis=1), 1)[:, None])

    def _residual(self, columns: Sequence[Array], without: str = "") -> tuple[float, int]:
        """Return what a regression leaves of the scores, and its rank.

        Whether a trial has a conditional hyperparameter is not an effect of its values, but of the
        hyperparameter it depends on: `without` that one, it is ignored.
        """
        conditional = [
            column for column, name in enumerate(self.names)
            if not self.is_there[:, column].all() and not self._depends(name, without)
        ]
        whether = self.is_there[:, conditional]
        others = self.groups[:, None] == np.unique(self.groups)[1:]
        matrix = np.column_stack([np.ones(len(self.scores)), others, whether, *columns])
        solution, _, rank, _ = np.linalg.lstsq(matrix, self.scores, rcond=1e-9)
        return float(np.sum((self.scores - matrix @ solution) ** 2)), int(rank)

    def _depends(self, name: str, other: str) -> bool:
        """Return whether a hyperparameter is searched only for some values of another."""
        return any(
            parent == other or self._depends(parent, other)
            for parent, _ in self.search_space[name].when
        )

    def lines(self, moves: Sequence[Move] = ()) -> Array:
        """Return points through which lines are searched for maxima: the best trials.

        They are joined by the same trials moved to where ranges move out: earlier results say
        nothing about a choice there.
        """
        best = self.positions[:LINES]
        lines = [best]
        for move in moves:
            old, new = scale_of(move.old), scale_of(move.new)
            if old is None or new is None:
                continue
            ends = [(old.to_unit(new.low), 0.0)] * (new.low < old.low)
            ends += [(1.0, old.to_unit(new.high))] * (new.high > old.high)
            for low, high in ends:
                for share in BEYOND:
                    moved = best.copy()
                    moved[:, self.columns[move.name]] = low + share * (high - low)
                    lines.append(moved)
        return np.concatenate(lines)

    def _through(self, name: str, lines: Array | None) -> Array:
        """Return the points through which one hyperparameter is followed.

        A conditional one is followed through the best trials that have it. One that others depend
        on is also followed, for each of its values, through the best trials with that value: the
        others say nothing about what only these have.
        """
        best = self.positions[:LINES] if lines is None else lines
        there = self.positions[self.is_there[:, self.columns[name]].any(axis=1)]
        if all(self.search_space[part].when for part in self.parts(name)):
            best = there[:LINES]
        if any(name == other for d in self.search_space.values() for other, _ in d.when):
            (column,) = self.columns[name]
            values = np.unique(there[:, column])
            best = np.concatenate([best, *(there[there[:, column] == v][:LINES] for v in values)])
        return best

    def draws(self, name: str, points: Array, lines: Array | None = None) -> Array:
        """Return sampled surfaces (draw, point): their heights along one hyperparameter.

        All parts of one are moved together. At every point, each draw has the highest value of the
        lines, by default those through the best trials.
        """
        through = self._through(name, lines)
        candidates = np.repeat(through, len(points), axis=0)
        candidates[:, self.columns[name]] = np.tile(points, len(through))[:, None]
        heights = self.surface.draws(self.settled(candidates))
        return np.asarray(heights.reshape(SURFACES, len(through), len(points)).max(axis=1))


def _columns(position: Array, choice: bool) -> Array:
    """Return the columns by which a hyperparameter enters the regression."""
    if choice:
        return np.asarray(position[:, None] == np.unique(position)[1:], dtype=np.float64)
    return np.column_stack([position**power for power in POWERS[len(position) >= MANY]])
