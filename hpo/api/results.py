"""What is recorded of a study: its trials as tables, figures, and findings."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import wording
from hpo.api import asked_for, steering
from hpo.api.findings import Best, Proposal, Report, shown
from hpo.api.lookup import existing_record, find, record_address
from hpo.api.pictures import draw
from hpo.api.points import point_texts
from hpo.errors import InputError
from hpo.search_space import packed
from hpo.text import one_line
from hpo.trial import State, TrialId, TrialResult

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hpo.record.study import StudyRecord
    from hpo.record.values import Recorded, Round
    from hpo.search.recommendation import Recommendation


class Results:
    """What is recorded of a study at one moment; call `hpo.load` again for newer results."""

    def __init__(self, name: str, recorded: "Recorded", record: "StudyRecord") -> None:
        self.name, self.recorded, self.record = name, recorded, record

    def __repr__(self) -> str:
        rounds = wording.count(len(self.recorded.rounds), "round")
        trials = wording.count(len(self.recorded.results), "trial")
        return f"<study {self.name}: {rounds}, {trials}>"

    @property
    def last_round(self) -> "Round":
        """The last round; raises InputError if there is none yet."""
        from hpo.record.values import last_round

        return last_round(self.name, self.recorded)

    @property
    def metric(self) -> str:
        """The metric that the study optimizes."""
        return self.last_round.settings.metric

    @property
    def direction(self) -> str:
        """Whether the metric is maximized or minimized: "maximize" or "minimize"."""
        return self.last_round.settings.direction

    def trials(
        self, *, repeats: bool = False, parts: bool = False, extensions: bool = False
    ) -> "pd.DataFrame":
        """Return a table with one row per trial: typed columns, times in UTC.

        If asked for, `repeats`, `parts`, and `extensions` follow the trial they belong to; the
        columns repeat and resplit, part, and extended_to tell them apart.
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
        """Return a table with one row per epoch: round, number, state, epoch, value.

        The default is the metric that the study optimizes. Any other metric takes one request per
        trial. Raises InputError if no trial has the metric.
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
                f"the trials of {self.name} have no metric {metric!r}; their metrics: "
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
        """Write the table of `trials` to a .csv, .parquet, or .json file; return the path."""
        from hpo.report.results import write

        file = asked_for.path(path, "path")
        write(self._results(repeats, parts, extensions), file)
        return file

    def summary(self, round: int | None = None) -> dict[str, Any]:  # noqa: A002  # its word
        """Return the rounds, counts, and best and recommended trials, as plain values for JSON."""
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
        """Return the trial with the best estimate, and why; None if no trial is complete."""
        from hpo.service.proposals import recommendation

        return recommendation(self.recorded)

    def best(self, *, observed: bool = False) -> Best:
        """Return the recommended trial, or with `observed` the one with the best value or mean.

        Raises InputError if no trial is complete.
        """
        from hpo.search import confirmation

        recorded, settings = self.recorded, self.last_round.settings
        ranked = confirmation.ranked(recorded.results, recorded.repeats, settings.direction)
        if not ranked:
            raise InputError(f"the study {self.name!r} has no complete trial yet; run more trials")
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
        """Return the ranges proposed for the next round, and why.

        Raises InputError if there is no round yet.
        """
        from hpo.service.proposals import moves_after

        number = self.last_round.number + 1
        return Proposal(number, moves_after(self.recorded), self.recorded)

    def figure(self, name: str) -> "Figure":
        """Draw one figure, which a notebook shows.

        Names: "ranges", "best_so_far", "proposal"; "learning_curves" and "all_curves" if trials
        have several epochs; "map" and "importance" if several hyperparameters are searched. Raises
        InputError if the study has no figure of that name.
        """
        from hpo.report.figures import by_name
        from hpo.study_errors import nearest

        name = asked_for.instance(name, str, "name")
        drawings = by_name(self.recorded, self.narrow().moves, self.record.history)
        if name not in drawings:
            raise InputError(f"{self.name} has no figure {name!r}{nearest(name, drawings)}")
        return shown(drawings[name]())

    def figures(self, folder: Path | str, round: int | None = None) -> list[Path]:  # noqa: A002
        """Write all figures, or those of one round, to a folder as PNG files; return the paths."""
        shown_rounds = tuple(r for r in self.recorded.rounds if round in (None, r.number))
        shown_only = replace(self.recorded, rounds=shown_rounds)
        return draw(self.record, shown_only, asked_for.path(folder, "folder"))

    def report(self, path: Path | str | None = None) -> Report:
        """Return a self-contained HTML report of the study; with a path, also write it there."""
        from hpo.report.page_data import page_data

        report = Report(page_data(self.recorded, self.narrow().moves))
        if path is not None:
            report.write(path)
        return report

    def logs(self, trial: str, epochs: int | None = None) -> str:
        """Return the output of a trial, e.g. "2/17", or of its part 3, "2/17/3".

        With `epochs`, return its output when it was extended to that many epochs. Raises InputError
        if there is no such trial.
        """
        text, _ = self.record.output(self.run_of(trial, epochs))
        return text

    def run_of(self, trial: str, epochs: int | None = None) -> str:
        """Return the MLflow run id of a trial, named as for `logs`."""
        recorded, identity = self.recorded, self._identity(trial, epochs)
        attempt = {**recorded.attempts, **recorded.followed_attempts}.get(identity)
        run_id = recorded.runs.get(identity) or (attempt.run_id if attempt else "")
        if not run_id:
            raise InputError(
                f"{self.name} has no {identity}; to list all trials, run `hpo export {self.name} "
                "trials.csv` (in Python: Results.trials)"
            )
        return run_id

    def failure_of(self, trial: str, epochs: int | None = None) -> str:
        """Return why a trial failed, on one line, or "" if it did not; named as for `logs`."""
        identity = self._identity(trial, epochs)
        known = (*self.recorded.results, *self.recorded.parts, *self.recorded.extensions)
        failed = (r for r in known if r.trial.id == identity and r.state is State.FAILED)
        return next((one_line(result.reason) for result in failed), "")

    def _identity(self, trial: str, epochs: int | None) -> TrialId:
        """Return the trial with this name; of one in parts, the first part."""
        trial = asked_for.instance(trial, str, "trial")
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})(?:/(\d{1,4}))?", trial)
        if match is None:
            raise InputError(f"not a trial: {trial!r}; use the form ROUND/TRIAL, for example 2/17")
        identity = TrialId(
            int(match[1]), int(match[2]), part=int(match[3] or 0), extended_to=epochs or 0
        )
        recorded = self.recorded
        first = identity._replace(part=1)
        if not identity.part and (first in recorded.runs or first in recorded.attempts):
            identity = first
        return identity

    def add(self, point: Mapping[str, Any]) -> None:
        """Add a point to try next, e.g. {"learning_rate": 0.01}.

        It is trained as one more trial; hyperparameters left out are sampled at random.
        """
        asked_for.instance(point, Mapping, "point", 'a mapping such as {"learning_rate": 0.01}')
        steering.add(self.record, self.recorded, point_texts(point))

    def stop(self, trial: str, reason: str = "") -> None:
        """Ask one running trial to stop, e.g. "2/17"; its results so far are kept."""
        steering.stop(
            self.record, self.recorded, asked_for.instance(trial, str, "trial"), reason
        )

    def rename(self, new: str) -> "Results":
        """Rename the study in the record; return it under its new name."""
        from hpo.api import housekeeping

        housekeeping.rename(self.record.uri, self.name, new, print)
        return load(new, self.record.uri)

    def copy(self, new: str) -> "Results":
        """Copy the study to a new study of another name; return the copy."""
        from hpo.api import housekeeping

        housekeeping.copy(self.record.uri, self.name, new, print, lambda done, total: None)
        return load(new, self.record.uri)

    def delete(self, *, purge: bool = False) -> None:
        """Delete the study so that MLflow can restore it; with `purge`, permanently."""
        from hpo.api import housekeeping

        housekeeping.delete(self.record.uri, self.name, print, purge=purge)
        if purge:
            housekeeping.purge(self.record.uri, self.name, print, lambda done, total: None)

    def predict(self, rows: "Path | str | pd.DataFrame") -> "pd.DataFrame":
        """Predict new data, a table or a file, with the model that `Study.evaluate` saved.

        Returns one row per row: a label and the probability of each class, or a value.
        """
        import pandas as pd

        predictions, _ = self.predicted(rows)
        return pd.DataFrame(predictions)

    def predicted(
        self, rows: "Path | str | pd.DataFrame"
    ) -> tuple[Mapping[str, Any], Mapping[str, int]]:
        """Return predictions by column, and the number of missing values filled in per column."""
        from hpo.data.tables import read_rows
        from hpo.record.models import last_model

        model = last_model(self.record)
        table = read_rows(Path(rows), model.preprocessing) if isinstance(rows, str | Path) else rows
        try:
            return model.predict(table), model.preprocessing.filled(table)
        except ValueError as error:
            source = f"{rows}: " if isinstance(rows, str | Path) else ""
            raise InputError(f"{source}{error}") from error


def load(study: str, tracking_uri: str | None = None) -> Results:
    """Return what is recorded of a study, given by its name or its study file.

    The record is at `tracking_uri`, else at MLFLOW_TRACKING_URI, else in mlflow.db in the working
    directory. Raises InputError if there is no such record or study.
    """
    from hpo.api.lookup import study_name

    uri = record_address(tracking_uri)
    record, name = existing_record(uri), study_name(str(study))
    return Results(name, find(record, name), record.study(name))
