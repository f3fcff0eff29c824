"""What is on record of a study, as objects: tables, the best trial, next ranges, figures."""

import html
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import wording
from hpo.api import steering
from hpo.api.lookup import existing_record, find, record_address
from hpo.api.pictures import draw
from hpo.api.places import outbox_path
from hpo.api.points import point_texts
from hpo.distributions import describe
from hpo.errors import InputError
from hpo.moves import Move, of_wholes
from hpo.record.file import absolute
from hpo.search_space import packed
from hpo.text import one_line
from hpo.trial import TrialId, TrialResult

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hpo.record.study import StudyRecord
    from hpo.record.values import Recorded, Round
    from hpo.search.recommendation import Recommendation


@dataclass(frozen=True)
class Best:
    """The trial of a study to go on with.

    `value` is that of the trial, or of its longer training; `mean` and `repeats` say what its
    repeats came to, where there are some. `recommended` says why it is this one, and is None where
    the best observed one was asked for.
    """

    study: str
    metric: str
    trial: TrialId
    value: float
    hyperparameters: Mapping[str, Any]
    repeats: int = 0
    recommended: "Recommendation | None" = None

    def to_table(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        told = self.recommended.to_table() if self.recommended is not None else {}
        return {
            **told,  # with the mean where there is one
            "study": self.study, "round": self.trial.round, "number": self.trial.number,
            "value": self.value, "metric": self.metric, "hyperparameters": self.hyperparameters,
        }

    def __str__(self) -> str:
        """Name the trial, its value and its hyperparameters in a line."""
        mean = f" (the mean of {wording.count(self.repeats, 'repeat')})" if self.repeats else ""
        return (
            f"{self.trial}: {one_line(self.metric)} {wording.four_digits(self.value)}{mean}"
        )


@dataclass(frozen=True)
class Proposal:
    """The ranges proposed after the last round of a study, each with the reason for its move."""

    moves: Sequence[Move]
    recorded: "Recorded"

    @property
    def round(self) -> int:
        """The number of the round that would have them."""
        return self.recorded.rounds[-1].number + 1

    def figure(self) -> "Figure":
        """Draw the ranges now and next over what the trials say."""
        from hpo.report.proposing import proposal

        return shown(proposal(self.recorded, self.moves))

    def to_table(self) -> list[dict[str, Any]]:
        """Return plain values for JSON."""
        return [move.to_table() for move in self.moves]

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        return [
            (
                one_line(move.name), one_line(describe(move.old)), one_line(describe(move.new)),
                move.kind, one_line(move.reason),
            )
            for move in of_wholes(self.moves)
        ]

    def __str__(self) -> str:
        """Return a line for each hyperparameter."""
        return "\n".join(
            f"{name}: {now if now == then else f'{now} → {then}'} ({kind}: {why})"
            for name, now, then, kind, why in self._rows()
        )

    def _repr_html_(self) -> str:
        heads = ("hyperparameter", "range now", "next range", "", "why")
        rows = [heads, *self._rows()]
        return "<table>" + "".join(
            "<tr>" + "".join(
                f'<{tag} style="text-align: left">{html.escape(cell)}</{tag}>' for cell in row
            ) + "</tr>"
            for row, tag in zip(rows, ["th"] + ["td"] * len(rows), strict=False)
        ) + "</table>"


@dataclass(frozen=True)
class Report:
    """A study on one page that needs no network; a notebook shows it below the cell."""

    data: Mapping[str, Any]

    def write(self, path: Path | str) -> Path:
        """Write the page to a .html file, or its data to a .json file; return its path."""
        from hpo.report.page import write

        write(self.data, Path(path))
        return Path(path)

    def _repr_html_(self) -> str:
        from hpo.report.page import page

        text = html.escape(page(self.data), quote=True)
        return (
            f'<iframe srcdoc="{text}" sandbox="allow-scripts" '
            'style="width: 100%; height: 900px; border: 0"></iframe>'
        )


class Results:
    """What is on record of a study at one moment; `hpo.load` again shows what came since."""

    def __init__(self, name: str, recorded: "Recorded", record: "StudyRecord") -> None:
        self.name, self.recorded, self.record = name, recorded, record

    def __repr__(self) -> str:
        rounds = wording.count(len(self.recorded.rounds), "round")
        trials = wording.count(len(self.recorded.results), "trial")
        return f"<study {self.name}: {rounds}, {trials}>"

    @property
    def last_round(self) -> "Round":
        """The last round; InputError where there is none yet."""
        from hpo.record.values import last_round

        return last_round(self.name, self.recorded)

    @property
    def metric(self) -> str:
        """The metric that the study searches by."""
        return self.last_round.settings.metric

    @property
    def direction(self) -> str:
        """Whether the metric is to be maximized or minimized."""
        return self.last_round.settings.direction

    def trials(
        self, *, repeats: bool = False, parts: bool = False, extensions: bool = False
    ) -> "pd.DataFrame":
        """Return one row a trial, as `hpo export` writes it: typed columns, times in UTC.

        Below a trial stand its repeats, its parts, or its longer trainings, where they are asked
        for; columns of these names tell them apart.
        """
        from hpo.report.results import table

        return table(self._results(repeats, parts, extensions))

    def _results(
        self, repeats: bool = False, parts: bool = False, extensions: bool = False
    ) -> list[TrialResult]:
        some = (
            (repeats, self.recorded.repeats), (parts, self.recorded.parts),
            (extensions, self.recorded.extensions),
        )
        return [*self.recorded.results, *(one for asked, many in some if asked for one in many)]

    def curves(self, metric: str | None = None) -> "pd.DataFrame":
        """Return one row for each epoch of each trial: round, number, state, epoch, value.

        The searched metric is read at once; another one takes a request for each trial.
        """
        import pandas as pd

        name = metric or self.metric
        columns: dict[str, list[Any]] = {
            key: [] for key in ("round", "number", "state", "epoch", "value")
        }
        for result in self.recorded.results:
            if name == self.metric:
                curve = [epoch[name] for epoch in result.metrics if name in epoch]
            else:
                run = self.recorded.runs.get(result.trial.id)
                curve = self.record.history(run, name) if run else []
            for epoch, value in enumerate(curve, start=1):
                row = (result.trial.round, result.trial.number, result.state.value, epoch, value)
                for column, cell in zip(columns.values(), row, strict=True):
                    column.append(cell)
        if metric is not None and not columns["value"] and self.recorded.results:
            known = sorted({n for r in self.recorded.results for n in (r.metrics or [{}])[-1]})
            raise InputError(
                f"the trials of {self.name} have no metric {metric!r}; they have "
                f"{', '.join(known) or 'none'}"
            )
        return pd.DataFrame(columns)

    def export(
        self,
        path: Path | str,
        *,
        repeats: bool = False,
        parts: bool = False,
        extensions: bool = False,
    ) -> Path:
        """Write what `trials` returns to a .csv, .parquet or .json file; return its path."""
        from hpo.report.results import write

        write(self._results(repeats, parts, extensions), Path(path))
        return Path(path)

    def summary(self, round: int | None = None) -> dict[str, Any]:  # noqa: A002  # its word
        """Return what `hpo show --json` prints: rounds, counts, the best and the recommended."""
        from hpo.report.results import summarize
        from hpo.search.extension import extensions_of, to_table

        summary = summarize(self.name, self.recorded, round)
        if round is None:
            recommended = self.recommendation()
            summary["recommended"] = recommended.to_table() if recommended else None
            if self.recorded.extensions:
                extended = extensions_of(self.recorded.results, self.recorded.extensions)
                summary["extensions"] = to_table(extended, summary["direction"])
        return summary

    def recommendation(self) -> "Recommendation | None":
        """Return the trial with the best estimate, and why; None where none is complete."""
        from hpo.service.proposals import recommendation

        return recommendation(self.recorded)

    def best(self, *, observed: bool = False) -> Best:
        """Return the recommended trial, or that of the best value, or best mean, `observed`.

        Raises InputError where no trial is complete.
        """
        from hpo.search import confirmation

        recorded, settings = self.recorded, self.last_round.settings
        ranked = confirmation.ranked(recorded.results, recorded.repeats, settings.direction)
        if not ranked:
            raise InputError(f"the study {self.name!r} has no complete trial yet; run more of it")
        recommended = None if observed else self.recommendation()
        result = ranked[0]
        if recommended is not None:
            result = next(r for r in ranked if r.trial.id == recommended.trial.trial.id)
        trial, value = result.trial, result.value or 0.0
        hyperparameters = packed(trial.hyperparameters)
        longer = recommended.longer if recommended is not None else None
        if longer is not None:
            trial, value = longer.trial, longer.value or 0.0
            hyperparameters = packed(trial.values({}))
        known = confirmation.confirmed(recorded.results, recorded.repeats).get(trial.id)
        is_mean = known is not None and known.is_sound and longer is None
        repeats = len(known.values) if known is not None and is_mean else 0
        return Best(
            self.name, settings.metric, trial.id, value, hyperparameters, repeats, recommended
        )

    def narrow(self) -> Proposal:
        """Return the ranges that the next round would have, and why."""
        from hpo.service.proposals import moves_after

        assert self.last_round
        return Proposal(moves_after(self.recorded), self.recorded)

    def figure(self, name: str) -> "Figure":
        """Draw one figure, which a notebook shows.

        There are ranges, best_so_far and proposal; learning_curves and all_curves where trials
        have several epochs; map and importance where several hyperparameters are searched. Raises
        InputError where the study has none of that name.
        """
        from hpo.report.figures import by_name
        from hpo.study_errors import nearest

        drawings = by_name(self.recorded, self.narrow().moves, self.record.history)
        if name not in drawings:
            raise InputError(f"{self.name} has no figure {name!r}{nearest(name, drawings)}")
        return shown(drawings[name]())

    def figures(self, folder: Path | str, round: int | None = None) -> list[Path]:  # noqa: A002
        """Write all figures, or those of one round, to a folder as PNG files; return the files."""
        shown_rounds = tuple(r for r in self.recorded.rounds if round in (None, r.number))
        return draw(self.record, replace(self.recorded, rounds=shown_rounds), Path(folder))

    def report(self, path: Path | str | None = None) -> Report:
        """Return the study as one page; with a path, write it there as well."""
        from hpo.report.page_data import page_data

        report = Report(page_data(self.recorded, self.narrow().moves))
        if path is not None:
            report.write(path)
        return report

    def logs(self, trial: str, epochs: int | None = None) -> str:
        """Return what a trial printed, such as "2/17", or part 3 of it, "2/17/3".

        With `epochs`, when it was trained for so many. Raises InputError where there is no such
        trial.
        """
        text, _ = self.record.output(self.run_of(trial, epochs))
        return text

    def run_of(self, trial: str, epochs: int | None = None) -> str:
        """Return the id of the run of a trial, as `logs` takes it."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})(?:/(\d{1,4}))?", trial)
        if match is None:
            raise InputError(f"{trial!r} names no trial; write it as ROUND/TRIAL, such as 2/17")
        identity = TrialId(
            int(match[1]), int(match[2]), part=int(match[3] or 0), extended_to=epochs or 0
        )
        recorded = self.recorded
        first = identity._replace(part=1)
        if not identity.part and (first in recorded.runs or first in recorded.attempts):
            identity = first
        attempt = {**recorded.attempts, **recorded.followed_attempts}.get(identity)
        run_id = recorded.runs.get(identity) or (attempt.run_id if attempt else "")
        if not run_id:
            raise InputError(
                f"{self.name} has no {identity} on record; `hpo export {self.name} trials.csv` "
                "lists all"
            )
        return run_id

    def add(self, point: Mapping[str, Any]) -> None:
        """Add a point to be tried next, such as {"learning_rate": 0.01}, as `hpo add` does."""
        steering.add(self.record, self.recorded, point_texts(point))

    def stop(self, trial: str, reason: str = "") -> None:
        """Ask for the end of one running trial, such as "2/17", as `hpo stop` does."""
        steering.stop(self.record, self.recorded, trial, reason)

    def rename(self, new: str) -> "Results":
        """Give the study another name on record, as `hpo rename` does; return it under that."""
        from hpo.api import housekeeping

        housekeeping.rename(self.record.uri, self.name, new, print)
        return load(new, self.record.uri)

    def copy(self, new: str) -> "Results":
        """Copy all of the study that counts to another name; return the copy."""
        from hpo.api import housekeeping

        housekeeping.copy(self.record.uri, self.name, new, print, lambda done, total: None)
        return load(new, self.record.uri)

    def delete(self, *, purge: bool = False) -> None:
        """Delete the study, so that MLflow can restore it; for good where it is to `purge` it."""
        from hpo.api import housekeeping

        housekeeping.delete(self.record.uri, self.name, print, purge=purge)
        if purge:
            housekeeping.purge(self.record.uri, self.name, print, lambda done, total: None)

    def predict(self, rows: "Path | str | pd.DataFrame") -> "pd.DataFrame":
        """Predict the rows of a table, or of its file, with the model that an evaluation kept.

        The columns are a label and the probability of each class, or a value.
        """
        import pandas as pd

        predictions, _ = self.predicted(rows)
        return pd.DataFrame(predictions)

    def predicted(
        self, rows: "Path | str | pd.DataFrame"
    ) -> tuple[Mapping[str, Any], Mapping[str, int]]:
        """Return predictions by column, and how many missing values of each column were filled."""
        from hpo.data.tables import read_rows
        from hpo.record.models import last_model

        model = last_model(self.record)
        table = read_rows(Path(rows), model.preprocessing) if isinstance(rows, str | Path) else rows
        try:
            return model.predict(table), model.preprocessing.filled(table)
        except ValueError as error:
            source = f"{rows}: " if isinstance(rows, str | Path) else ""
            raise InputError(f"{source}{error}") from error


def shown(figure: "Figure") -> "Figure":
    """Return a figure that a notebook shows as `hpo show --figures` would write it."""
    from hpo.report.drawing import save

    def picture() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return save(figure, Path(folder) / "figure.png").read_bytes()

    figure._repr_png_ = picture  # type: ignore[attr-defined]  # for IPython
    return figure


def load(study: str, tracking_uri: str | None = None) -> Results:
    """Return what is on record of a study, given by its name or its file.

    Raises InputError where there is no such record or study.
    """
    from hpo.api.lookup import study_name

    uri = record_address(tracking_uri)
    record, name = existing_record(uri), study_name(str(study))
    return Results(name, find(record, name), record.study(name))


def studies(tracking_uri: str | None = None) -> list[dict[str, Any]]:
    """Return a summary of each study on record, as `hpo list --json` prints it."""
    unread: list[InputError] = []
    found = [
        {**summary, "rounds": len(summary["rounds"])}
        for summary in summaries(record_address(tracking_uri), unread.append)
    ]
    if unread:
        raise unread[0]
    return found


def summaries(
    tracking_uri: str, complain: Callable[[InputError], object]
) -> Iterator[dict[str, Any]]:
    """Yield a summary of each study that can be read, its health among it; complain of others."""
    from hpo.report.results import summarize

    record = existing_record(tracking_uri)
    for name, _ in record.studies():
        try:
            recorded = record.study(name).read()
        except InputError as error:
            complain(error)
            continue
        if recorded is not None:
            summary = summarize(name, recorded)
            yield {**summary, "health": health(summary, recorded, tracking_uri)}


def health(
    summary: Mapping[str, Any], recorded: "Recorded", tracking_uri: str
) -> dict[str, Any]:
    """Return what a script can watch of a study, in plain values.

    Those are whether a process runs it, the seconds since that gave a sign of life and since the
    last result, None where there is none; how many results wait for the record, and how many it
    will never take. The outbox counts where it lies on this machine, else what the process last
    said.
    """
    from hpo.record.outbox import kept_on_disk

    now, service = time.time(), recorded.service
    path = outbox_path(absolute(tracking_uri), summary["study"])
    if path.exists() or service is None:
        waiting, aside = kept_on_disk(path)
    else:
        waiting, aside = service.waiting, service.aside
    beat = service.beat if service is not None else None
    last = datetime.fromisoformat(summary["last"]).timestamp() if summary["last"] else None
    return {
        "running": service is not None,
        "seconds_since_sign_of_life": None if beat is None else round(max(now - beat, 0.0), 1),
        "seconds_since_last_result": None if last is None else round(max(now - last, 0.0), 1),
        "results_waiting": waiting,
        "results_set_aside": aside,
    }
