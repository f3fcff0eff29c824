"""Every study can be drawn, as a file and by the commands."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from hpo.distributions import CategoricalDistribution
from hpo.errors import InputError
from hpo.record.tracking import Tracking
from hpo.record.values import Recorded
from hpo.report import curves, figures, importance, maps, proposing
from hpo.report.drawing import save
from hpo.trial import State
from tests.fixtures import client_of, hpo, write_study
from tests.hpo.report.drawn import (
    CONDITIONAL,
    MIXED,
    NAMES,
    NARROWED,
    RATES,
    legend,
    moves,
    panels,
    study,
    texts,
    unread,
)

ODD: dict[str, Recorded] = {
    "one trial": study([RATES], 1),
    "a round without a trial": study([RATES, NARROWED], 0),
    "five": study([RATES], 5, states=[State.COMPLETE, State.PRUNED]),
    "only diverged and failed": study([RATES], 12, states=[State.DIVERGED, State.FAILED]),
    "only pruned": study([RATES], 12, states=[State.PRUNED]),
    "one hyperparameter": study([{"learning_rate": RATES["learning_rate"]}], 15),
    "only choices": study([{"optimizer": MIXED["optimizer"]}], 15),
    "one choice left": study([{"a": CategoricalDistribution(("x",)), **RATES}], 15),
    "all kinds": study([MIXED, MIXED], 20, "validation_a_metric_with_a_very_long_name_indeed",
                       "minimize", states=list(State)),
    "conditions": study([CONDITIONAL] * 2, 30, states=list(State)),
    "all but one conditional": study(
        [{n: CONDITIONAL[n] for n in ("momentum", "optimizer")}], 30, states=list(State)
    ),
    "many rounds": study([RATES] * 40, 3),
    "one epoch": study([RATES], 25, epochs=1),
    "all equal": replace(
        study([RATES], 1), results=[replace(r, value=0.5) for r in study([RATES], 12).results]
    ),
    "thousands": study([RATES, NARROWED], 2500, states=list(State)),
}


@pytest.mark.parametrize("recorded", ODD.values(), ids=ODD.keys())
@pytest.mark.filterwarnings("error")
def test_every_study_can_be_drawn(recorded: Recorded, tmp_path: Path) -> None:
    few = replace(recorded, results=recorded.results[:300])
    files = figures.write(recorded, moves(few), unread, tmp_path / "new" / "folder")
    one = len(recorded.rounds[0].search_space) == 1
    expected = NAMES - ({"map", "importance"} if one else set())
    if not any(r.epochs > 1 for r in recorded.results):
        expected -= {"learning_curves", "all_curves"}  # a value each, which are in the others
    assert {file.name for file in files} == {f"{name}.png" for name in expected}
    for file in files:
        assert file.read_bytes().startswith(b"\x89PNG")


def test_no_text_leaves_the_page_or_covers_a_neighbor() -> None:
    recorded = study([MIXED, MIXED], 40, "validation_accuracy", states=list(State))
    for figure in (
        curves.learning_curves(recorded, {}), figures.ranges(recorded),
        maps.landscape(recorded), figures.best_so_far(recorded),
        proposing.proposal(recorded, moves(recorded)), curves.all_curves(recorded),
        importance.importance(recorded, moves(recorded)),
    ):
        figure.draw_without_rendering()
        page = figure.bbox.padded(1)
        for axes in figure.axes:
            if axes.get_tightbbox() is not None:
                box = axes.get_tightbbox()
                assert box is not None
                assert page.x0 <= box.x0 <= box.x1 <= page.x1
                assert page.y0 <= box.y0 <= box.y1 <= page.y1
        for axes in panels(figure):  # what stands above a panel is clear of the one over it
            title = axes.title.get_window_extent()
            for other in panels(figure):
                label = other.xaxis.label.get_window_extent()
                if other is not axes and label.width and title.width:
                    assert not label.overlaps(title)


@pytest.mark.parametrize("draw", [
    figures.ranges, maps.landscape, figures.best_so_far, curves.all_curves,
])  # fmt: skip
def test_a_figure_names_the_study_and_its_best_trial(draw: Callable[[Recorded], Figure]) -> None:
    recorded = study([RATES, NARROWED], 9, states=[State.COMPLETE, State.DIVERGED])
    best = max(recorded.results, key=lambda r: r.value or 0.0)
    name = f"round {best.trial.round} · trial {best.trial.number} — {best.value:.4f}"
    figure = draw(recorded)
    figure.draw_without_rendering()
    (title,) = [text for text in figure.texts if text.get_text() == f"mnist_book · {name}"]
    assert not title.get_window_extent().overlaps(figure.legends[0].get_window_extent())
    assert not draw(replace(recorded, name="x" * 200)).texts[0].get_window_extent().x1 > (
        figure.bbox.x1
    )
    nothing = study([RATES, NARROWED], 9, states=[State.DIVERGED])
    assert "mnist_book · rounds 1, 2" in texts(draw(nothing))


def test_the_same_study_gives_the_same_bytes_in_any_style(tmp_path: Path) -> None:
    recorded = study([RATES], 10)
    first = save(figures.ranges(recorded), tmp_path / "first.png").read_bytes()
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30, "savefig.dpi": 20}):
        second = save(figures.ranges(recorded), tmp_path / "second.png").read_bytes()
        assert mpl.rcParams["font.size"] == 30  # and leaves it as it was
    assert first == second
    assert b"Software" not in first
    assert b"Creation" not in first


def test_a_file_in_the_way_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another folder"):
        save(figures.ranges(study([RATES], 3)), tmp_path / "file" / "ranges.png")


# from the command line


def train(folder: Path, **changes: Any) -> Path:
    return write_study(
        folder, "small", objective="trainer.objectives:perceptron", metric="validation_accuracy",
        data={"source": "digits", "rows": 150},
        fixed={"hidden_sizes": [10], "epochs": 4, "batch_size": 50},
        round={"trials": 6, "sampler": "random", "parallel": 2}, **changes,
    )


@pytest.mark.figures
def test_each_round_has_its_figures_in_the_record_and_commands_draw_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hpo("run", train(folder, rounds=2), "--inline")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    recorded = Tracking(uri).study("small").read()
    assert recorded is not None
    client = client_of(uri)
    for round_ in recorded.rounds:
        found = {artifact.path for artifact in client.list_artifacts(round_.run_id, "figures")}
        assert found == {f"figures/{name}.png" for name in NAMES}
    best = max(recorded.results, key=lambda r: r.value or 0)
    run_id = recorded.runs[best.trial.id]
    history = Tracking(uri).study("small").history(run_id, "training_accuracy")
    assert len(history) == 4
    assert history[-1] == best.metrics[-1]["training_accuracy"]

    capsys.readouterr()
    hpo("show", "small", "--figures", "drawn")
    printed = capsys.readouterr().out
    for name in NAMES:
        assert f"drawn/{name}.png" in printed
        kept = client.download_artifacts(
            recorded.rounds[-1].run_id, f"figures/{name}.png", str(folder)
        )
        assert Path(kept).read_bytes() == (folder / "drawn" / f"{name}.png").read_bytes()
    hpo("show", "small", "--round", 1, "--figures", "first", "--json")
    assert len(json.loads(capsys.readouterr().out)["figures"]) == len(NAMES)
    kept = client.download_artifacts(recorded.rounds[0].run_id, "figures/ranges.png", str(folder))
    assert Path(kept).read_bytes() == Path("first/ranges.png").read_bytes()

    hpo("narrow", "small", "--figures", "next")
    assert "next/proposal.png" in capsys.readouterr().out
    assert Path("next/proposal.png").read_bytes() == Path("drawn/proposal.png").read_bytes()
    hpo("narrow", "small")
    assert "add --figures DIR" in capsys.readouterr().out
    hpo("narrow", "small", "--json")
    assert "figure" not in json.loads(capsys.readouterr().out)


@pytest.mark.figures
def test_a_failure_to_draw_is_a_note_and_the_study_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(figures, "write", broken)
    hpo("run", write_study(folder, rounds=2), "--inline")
    printed = capsys.readouterr().out
    assert printed.count("no ink") == 2
    hpo("show", "toy", "--json")
    assert [r["trials"] for r in json.loads(capsys.readouterr().out)["rounds"]] == [12, 12]


def test_the_best_of_the_figures_is_the_best_by_its_mean_where_it_was_confirmed() -> None:
    recorded = study([RATES], 12)
    first, second, *_ = sorted(recorded.results, key=lambda r: -(r.value or 0.0))
    repeats = [
        replace(r, trial=replace(r.trial, repeat=n, seed=n), value=value)
        for r, value in ((first, 0.25), (second, 0.75)) for n in (1, 2, 3)
    ]
    confirmed = replace(recorded, repeats=repeats)
    name = f"round 1 · trial {second.trial.number} — mean 0.7500"
    for figure in (figures.ranges(confirmed), maps.landscape(confirmed)):
        assert f"mnist_book · {name}" in texts(figure)
        assert "best mean: 0.7500" in legend(figure)
    assert curves.best_first(confirmed)[0] == second
