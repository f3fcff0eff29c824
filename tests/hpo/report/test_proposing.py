"""The proposal picture fits a page: the ranges that move are drawn, the others listed."""

from dataclasses import replace

import pytest

from hpo.distributions import FloatDistribution
from hpo.moves import Move
from hpo.report.proposing import LARGE, ROWS, proposal
from tests.hpo.report.drawn import RATES, panels, study, texts

OLD, NEW = FloatDistribution(0.0, 1.0), FloatDistribution(0.25, 0.5)


def of(*moving: int, count: int) -> list[Move]:
    """Return moves of h0 to h(count-1); the earlier, the weaker the evidence."""
    return [
        Move(f"h{i}", OLD, NEW, "narrowed", 0.25, f"reason {i}", (count - i) / 1000)
        if i in moving else
        Move(f"h{i}", OLD, OLD, "kept", 1.0, f"reason {i}", (count - i) / 100)
        for i in range(count)
    ]


@pytest.mark.parametrize(("moving", "count", "drawn"), [
    ([], 1, [0]), ([], 2, [0, 1]), ([1], 4, [0, 1, 2, 3]),
    ([], 8, [6, 7]),  # the strongest evidence
    ([2], 8, [2, 7]),  # what moves, and the strongest evidence beside it
    ([0, 3, 5], 8, [0, 3, 5]),
    (range(8), 8, [4, 5, 6, 7]),
    (range(60), 60, [56, 57, 58, 59]),
])  # fmt: skip
def test_what_moves_is_drawn_and_the_others_are_listed(
    moving: list[int], count: int, drawn: list[int]
) -> None:
    recorded = study([{f"h{i}": OLD for i in range(count)}], 20)
    figure = proposal(recorded, of(*moving, count=count))
    assert len(panels(figure)) <= LARGE
    assert [axes.get_xlabel() for axes in panels(figure)] == [f"h{i}" for i in drawn]
    width, height = figure.get_size_inches()
    assert height < 1.45 * width if count > 2 else height < width  # that of a sheet of paper
    listed = [text for text in texts(figure) if text in {f"h{i}" for i in range(count)}]
    others = [text for text in listed if int(text[1:]) not in drawn]
    assert len(others) == min(count - len(drawn), ROWS)
    rest = count - len(drawn) - len(others)
    assert (f"and {rest} more" in texts(figure)) == bool(rest)
    for name in others:
        i = int(name[1:])
        p_value = (count - i) / (1000 if i in moving else 100)
        assert f"reason {i} (p\u00a0=\u00a0{p_value:.4g})" in texts(figure)
        assert ("0 to 1 → 0.25 to 0.5" if i in moving else "0 to 1") in texts(figure)


def test_rows_keep_clear_of_each_other_and_of_the_panels() -> None:
    recorded = study([RATES | {f"h{i}": OLD for i in range(7)}], 20)
    long = [
        replace(move, name=f"{move.name}_{'x' * 40}", reason="a reason of many words " * 9)
        for move in of(0, count=7)
    ]
    recorded = replace(recorded, results=[
        replace(r, trial=replace(r.trial, hyperparameters={
            f"{name}_{'x' * 40}": value for name, value in r.trial.hyperparameters.items()
        })) for r in recorded.results
    ])
    figure = proposal(recorded, long)
    figure.draw_without_rendering()
    rows = [text.get_window_extent() for text in figure.texts]
    for i, one in enumerate(rows):
        assert figure.bbox.padded(1).contains(one.x0, one.y0)
        assert figure.bbox.padded(1).contains(one.x1, one.y1)
        assert not any(one.overlaps(other) for other in rows[i + 1 :])
        for axes in panels(figure):
            box = axes.get_tightbbox()
            assert box is not None
            assert not one.overlaps(box)
