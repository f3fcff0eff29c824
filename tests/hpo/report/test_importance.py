"""The importance picture has a bar for each hyperparameter that could be tested."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hpo import wording
from hpo.moves import by_evidence
from hpo.report.importance import BARS, SMALLEST, importance
from hpo.report.palette import INK, PALE
from hpo.search.narrowing import SIGNIFICANCE
from tests.hpo.report.drawn import MIXED, RATES, moves, panels, study, texts


def test_a_bar_ends_at_the_p_value_and_the_strongest_is_on_top() -> None:
    recorded = study([MIXED, MIXED], 40)
    ordered = by_evidence(moves(recorded))
    figure = importance(recorded, moves(recorded))
    (axes,) = panels(figure)
    bars = axes.patches
    assert [label.get_text() for label in axes.get_yticklabels()][:5] == [
        move.name if len(move.name) < 34 else f"{move.name[:16]}…{move.name[-17:]}"
        for move in ordered[:5]
    ]
    assert [bar.get_width() for bar in bars] == pytest.approx(  # type: ignore[attr-defined]
        [-math.log10(max(move.p_value, SMALLEST)) for move in ordered]
    )
    from matplotlib.colors import to_rgba

    assert [bar.get_facecolor() for bar in bars] == [
        to_rgba(INK if move.p_value < SIGNIFICANCE / len(ordered) else PALE) for move in ordered
    ]
    for move in ordered:
        assert f"p = {wording.number(move.p_value)}" in texts(figure)
    low, high = axes.get_ylim()
    assert low > high  # the first bar is the upper one


def test_a_p_value_of_nothing_is_a_bar_of_some_length() -> None:
    recorded = study([RATES], 20)
    sure, other = moves(recorded)
    figure = importance(recorded, [replace(sure, p_value=0.0), other])
    (axes,) = panels(figure)
    assert np.isfinite(axes.get_xlim()).all()
    assert "p < 1e-99" in texts(figure)


def test_more_than_a_page_of_hyperparameters_is_cut_and_says_so() -> None:
    recorded = study([RATES], 20)
    (move, _) = moves(recorded)
    many = [replace(move, name=f"h{i}", p_value=0.5 + i / 1000) for i in range(60)]
    figure = importance(recorded, many)
    (axes,) = panels(figure)
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"h{i}" for i in range(BARS)]
    assert f"and {60 - BARS} more, with weaker evidence" in texts(figure)
    untested = replace(move, name="untested", p_value=math.nan)
    assert "untested" not in texts(importance(recorded, [move, untested]))
    assert "too few trials to tell which hyperparameters matter" in texts(
        importance(recorded, [untested])
    )
