"""A study as an object: its settings, and everything you can do with it."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from hpo.api import asked_for
from hpo.api.lookup import record_address
from hpo.api.results import Results, load
from hpo.api.site import Placement, Site
from hpo.api.values import StudyKeys, plain
from hpo.errors import InputError
from hpo.told import TOLD
from hpo.toml_text import document, toml_value

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    from hpo.evaluation import Evaluation
    from hpo.own_evaluation import OwnEvaluation
    from hpo.study import StudyFile

T = TypeVar("T", bound="Study")
AGAIN = "Run it again to resume."


class Study:
    """A study, defined by the keys of a study file, or read from one with `Study.read`.

    The objective may be a function, also one defined in a notebook; without one, train the trials
    in your own loop (see `hpo.open`). Ranges may be `hpo.Range` and `hpo.Choices`; everything else
    is as in a study file, for example `round={"trials": 20, "sampler": "tpe"}`. Paths are relative
    to `folder`, which is also where `write` puts the file; the default is the working directory.

        study = hpo.Study(
            name="noise",
            objective=train,
            metric="loss",
            direction="minimize",
            search_space={"learning_rate": hpo.Range(1e-5, 1.0, log=True)},
        )
        results = study.run()

    Raises InputError for the first thing that is wrong, with its key and a remedy.
    """

    def __init__(self, *, folder: Path | str | None = None, **keys: Unpack[StudyKeys]) -> None:
        from hpo.study import parse

        given = {key: value for key, value in keys.items() if value is not None}
        name = given.get("name")
        if name is None:
            raise InputError('name: required but missing; add it, for example name="digits"')
        name = asked_for.instance(name, str, "name")
        place = asked_for.path(folder, "folder") if folder is not None else Path()
        objective = given.get("objective")
        if callable(objective):
            from hpo import notebook_code

            given["objective"] = notebook_code.name_of(objective, place.absolute())
        if not {"objective", "command"} & given.keys():
            given["objective"] = TOLD
        text = document(plain(given, ""))
        path = place / f"{_file_name(name)}.toml"
        try:
            self.file: StudyFile = parse(text, path)
        except InputError as error:
            raise InputError(str(error).removeprefix(f"{path}: ")) from None

    @classmethod
    def read(
        cls: type[T], path: Path | str, overrides: Mapping[str, Any] | Sequence[str] = ()
    ) -> T:
        """Read a study file; `overrides` replace keys, e.g. {"round.trials": 20}."""
        from hpo.study import read

        if isinstance(overrides, str) or not isinstance(overrides, Mapping | Sequence):
            raise InputError(
                f'overrides: expected a mapping such as {{"round.trials": 20}}, got {overrides!r}'
            )
        if isinstance(overrides, Mapping):
            overrides = [f"{key}={toml_value(plain(v, key))}" for key, v in overrides.items()]
        return cls.of(read(asked_for.path(path, "path"), overrides))

    @classmethod
    def of(cls: type[T], file: "StudyFile") -> T:
        """Return a study for a study file that has already been read."""
        study = cls.__new__(cls)
        study.file = file
        return study

    @property
    def name(self) -> str:
        """The name of the study, also in the record."""
        return self.file.name

    def to_toml(self) -> str:
        """Return the study as the text of a study file."""
        if self.file.overrides:
            return document({"name": self.name, **self._table()})
        named = "name" in self._table()
        return self.file.text if named else f"name = {toml_value(self.name)}\n{self.file.text}"

    def write(self, path: Path | str | None = None) -> Path:
        """Write the study file, and next to it the code of a notebook; return the path.

        The command line can then continue the study, and the other way around. Raises InputError
        if the file cannot be written.
        """
        from hpo import notebook_code

        path = asked_for.path(path, "path") if path is not None else self.file.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.to_toml(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}; choose another file") from error
        before, after = (p.absolute().parent for p in (self.file.path, path))
        if before != after:
            notebook_code.copy(self.file.objective.name, before, after)
        return path

    def _table(self) -> dict[str, Any]:
        from hpo.study import table_of

        return table_of(self.file.text, self.file.overrides)

    def __eq__(self, other: object) -> bool:
        """Return whether both studies have the same settings."""
        if not isinstance(other, Study):
            return NotImplemented
        mine, theirs = ({"name": s.name, **s._table()} for s in (self, other))
        return mine == theirs

    def __hash__(self) -> int:
        return hash(json.dumps({"name": self.name, **self._table()}, sort_keys=True, default=str))

    def __repr__(self) -> str:
        file = self.file
        return f"<study {file.name}: {file.direction} {file.metric} of {file.objective.name}>"

    def check(self, *, data: bool = False, try_: bool = False) -> dict[str, Any]:
        """Check the study; return a summary, the same as `hpo check --json` prints.

        With `data`, also read and split the data. With `try_`, also train one trial for two epochs
        in this process, then save, load, and query its model. Raises InputError if any of that
        fails.
        """
        from hpo.api import checking

        checked = checking.check(self.file, data=data, split=try_)
        if try_:
            from hpo.rehearsal import rehearse

            checked.summary["try"] = []
            rehearse(self.file, checked.split, checked.summary["try"].append)
        return checked.summary

    def submit(
        self,
        command: str = "run",
        *,
        cluster: str | None = None,
        env_file: Path | str = ".env",
        also: Sequence[Path | str] = (),
        **options: Any,
    ) -> str:
        """Submit the study to a Ray cluster, like `hpo submit`; return the id of the job.

        `command` is "run", "confirm", "extend", or "evaluate", and `options` are the arguments of
        that method. `cluster` is the URL of the cluster's Ray dashboard; by default, the URL and
        the token come from the environment, or from `env_file`. Files in `also` are sent as well.
        The study is written to its file first, unless it was read from one.
        """
        from hpo.api.sending import send

        if not self.file.path.exists():
            self.write()
        files = [Path(file) for file in also]
        return send(self.file, command, options, files, cluster, Path(env_file)).job

    def cancel(self, *, cluster: str | None = None, env_file: Path | str = ".env") -> str:
        """Stop the study on a cluster; return the id of its job. Finished trials are kept."""
        from hpo.cluster import connect

        return connect(cluster, Path(env_file)).cancel(self.name)

    def results(self, tracking_uri: str | None = None) -> Results:
        """Return what is recorded of the study."""
        return load(self.name, tracking_uri)

    def run(
        self,
        rounds: int | None = None,
        *,
        trials: int | None = None,
        ranges: Mapping[str, Any] | None = None,
        keep_ranges: bool = False,
        accept_code: bool = False,
        placement: Placement | None = None,
        tracking_uri: str | None = None,
    ) -> Results:
        """Run or resume the study until it has `rounds` rounds in total; return its results.

        Call it again to resume an interrupted run; if everything is done, nothing runs.

        `trials` is the number of trials in each new round. `ranges` replaces ranges of the next
        round: a mapping from hyperparameter names to a `hpo.Range`, a pair of numbers, or a list of
        choices. With `keep_ranges`, no range moves between rounds. With `accept_code`, the study
        continues although the objective's code has changed. `placement` says where trials run.
        """
        from hpo.api import training
        from hpo.api.ranges import parse_ranges, range_texts
        from hpo.service.rounds import Goal

        self._refuse_while_imported("run")
        number = asked_for.whole_or_none(trials, "trials")
        file = self.file if number is None else self.file.with_trials(number)
        if ranges is not None:
            wanted = 'a mapping such as {"learning_rate": (1e-3, 0.1)}'
            asked_for.instance(ranges, Mapping, "ranges", wanted)
        moved = parse_ranges(range_texts(ranges or {}), file, "ranges:")
        rounds = asked_for.whole_or_none(rounds, "rounds") or file.rounds
        goal = Goal(rounds, moved, keep_ranges, accept_code)
        recorded, _ = training.run(file, goal, self._site(placement, tracking_uri))
        return self._results(recorded, tracking_uri)

    def confirm(
        self,
        *,
        top: int | None = None,
        repeats: int | None = None,
        resplit: bool = False,
        accept_code: bool = False,
        placement: Placement | None = None,
        tracking_uri: str | None = None,
    ) -> Results:
        """Retrain the `top` trials, each `repeats` times with new seeds; return the results.

        From then on, the means of the repeats rank these trials. With `resplit`, each repeat also
        gets new validation rows. Call it again to resume; if everything is done, nothing runs.
        """
        from hpo.api import training
        from hpo.study_tables import ConfirmSettings

        self._refuse_while_imported("confirm")
        given = {
            "top": asked_for.whole_or_none(top, "top"),
            "repeats": asked_for.whole_or_none(repeats, "repeats"),
            "resplit": resplit or None,
        }
        settings = (self.file.confirm or ConfirmSettings()).model_copy(
            update={key: value for key, value in given.items() if value is not None}
        )
        training.confirm(self.file, settings, accept_code, self._site(placement, tracking_uri))
        return self.results(tracking_uri)

    def extend(
        self,
        epochs: int,
        *,
        top: int = 3,
        accept_code: bool = False,
        placement: Placement | None = None,
        tracking_uri: str | None = None,
    ) -> Results:
        """Train the `top` trials for more epochs, `epochs` in total; return the results.

        Without `checkpoints`, they are trained from scratch. The search ignores the extended
        trials; `best` and `evaluate` use them if they are better. Call it again to resume.
        """
        from hpo.api import training

        self._refuse_while_imported("extend")
        top, epochs = asked_for.whole(top, "top"), asked_for.whole(epochs, "epochs")
        site = self._site(placement, tracking_uri)
        recorded = training.extend(self.file, top, epochs, accept_code, site)
        return self._results(recorded, tracking_uri)

    def evaluate(
        self,
        *,
        top: int = 1,
        again: bool = False,
        kept: bool = False,
        accept_code: bool = False,
        tracking_uri: str | None = None,
    ) -> "Evaluation | OwnEvaluation":
        """Score the best trial on the test set, once, and save the model; return the scores.

        The trial is retrained on the training and validation rows first. With `top`, the outputs of
        that many best trials are averaged. With `kept`, the copies that `checkpoints` kept are
        scored instead. Raises InputError if the test set is already spent, unless `again` is True,
        which marks the result as repeated. With `accept_code`, it is evaluated although the
        objective's code has changed; the record notes it.
        """
        from hpo.api import training
        from hpo.display.progress import Retraining

        self._refuse_while_imported("evaluate")
        uri, top = record_address(tracking_uri), asked_for.whole(top, "top")
        with Retraining(sys.stdout) as listener:
            return training.evaluate(self.file, top, again, kept, accept_code, uri, listener)

    def _site(self, placement: Placement | None, tracking_uri: str | None) -> Site:
        from hpo.display.notebook import open_display

        if placement is None:
            placement = Placement(ray_address=os.environ.get("RAY_ADDRESS") or None)
        asked_for.instance(
            placement, Placement, "placement", "one such as hpo.Placement(inline=True)"
        )
        return Site(
            record_address(tracking_uri), placement, open_display(self.file), lambda: AGAIN
        )

    def _results(self, recorded: Any, tracking_uri: str | None) -> Results:
        from hpo.api.lookup import existing_record

        record = existing_record(record_address(tracking_uri))
        return Results(self.name, recorded, record.study(self.name))

    def _refuse_while_imported(self, method: str) -> None:
        """Raise InputError if a script runs a study while it is imported for its objective."""
        from hpo import forms

        module = forms.imported_now()
        if module:
            raise InputError(
                f"{module} calls {method}() while being imported for its objective; move the call "
                'under if __name__ == "__main__":'
            )


def _file_name(name: str) -> str:
    """Return the name of a study as a file name."""
    return name.replace("/", "-").replace("\0", "") or "study"
