"""A study as an object: what its file says, and all that can be done with it."""

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
AGAIN = "Run it again to go on."


class Study:
    """A study, made of the keys of a study file or read from one.

    The objective may be a function, also one of a notebook; left out, results are told by whoever
    asks for trials (see `hpo.open`). Ranges may be `Range` and `Choices`; everything else is as a
    study file has it, such as `round={"trials": 20, "sampler": "tpe"}`. Paths are below `folder`,
    the working directory if left out, which is also where `write` puts the file.

    Raises InputError for the first thing wrong, with its key and the remedy.
    """

    def __init__(self, *, folder: Path | str | None = None, **keys: Unpack[StudyKeys]) -> None:
        from hpo.study import parse

        given = {key: value for key, value in keys.items() if value is not None}
        name = given.get("name")
        if name is None:
            raise InputError("name: is missing; name the study, such as name=\"digits\"")
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
        """Read a study file, with overrides such as {"round.trials": 20} in their places."""
        from hpo.study import read

        if isinstance(overrides, str) or not isinstance(overrides, Mapping | Sequence):
            raise InputError(f'overrides: write {{"round.trials": 20}}, not {overrides!r}')
        if isinstance(overrides, Mapping):
            overrides = [f"{key}={toml_value(plain(v, key))}" for key, v in overrides.items()]
        return cls.of(read(asked_for.path(path, "path"), overrides))

    @classmethod
    def of(cls: type[T], file: "StudyFile") -> T:
        """Return a study file that is read already as a study."""
        study = cls.__new__(cls)
        study.file = file
        return study

    @property
    def name(self) -> str:
        """The name of the study, which its record has as well."""
        return self.file.name

    def to_toml(self) -> str:
        """Return the text of a study file that says the same."""
        if self.file.overrides:
            return document({"name": self.name, **self._table()})
        named = "name" in self._table()
        return self.file.text if named else f"name = {toml_value(self.name)}\n{self.file.text}"

    def write(self, path: Path | str | None = None) -> Path:
        """Write the study file, and beside it the code of a notebook; return its path.

        The command line goes on with what this process began, and the other way round. Raises
        InputError where it cannot be written.
        """
        from hpo import notebook_code

        path = asked_for.path(path, "path") if path is not None else self.file.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.to_toml(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}; name another file") from error
        before, after = (p.absolute().parent for p in (self.file.path, path))
        if before != after:
            notebook_code.copy(self.file.objective.name, before, after)
        return path

    def _table(self) -> dict[str, Any]:
        from hpo.study import table_of

        return table_of(self.file.text, self.file.overrides)

    def __eq__(self, other: object) -> bool:
        """Say whether both studies say the same."""
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
        """Return what `hpo check --json` prints: ranges, and on demand the data, or a trial run.

        With `try_` the objective is trained for two epochs in this process, and its model saved,
        loaded and asked. Raises InputError where any of that fails.
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
        """Send the study to a Ray cluster, as `hpo submit` does; return the id of its job.

        `command` is run, confirm, extend or evaluate, and `options` are those of that method. The
        address and the token come from `cluster`, from the environment, or from `env_file`. The
        study is written to its file first, unless it was read from one.
        """
        from hpo.api.sending import send

        if not self.file.path.exists():
            self.write()
        files = [Path(file) for file in also]
        return send(self.file, command, options, files, cluster, Path(env_file)).job

    def cancel(self, *, cluster: str | None = None, env_file: Path | str = ".env") -> str:
        """Stop the study on a cluster, as `hpo cancel` does; return the id of its job."""
        from hpo.cluster import connect

        return connect(cluster, Path(env_file)).cancel(self.name)

    def results(self, tracking_uri: str | None = None) -> Results:
        """Return what is on record of the study."""
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
        """Run the study, or go on with it, until it has `rounds`; return what is on record then.

        Run again, it finds all done and does nothing; interrupted or killed, the same call goes
        on. `trials` are those of each new round. `ranges` overrule those of the next one: a
        `Range`, a pair of numbers or a list of choices by the name of a hyperparameter.
        """
        from hpo.api import training
        from hpo.api.ranges import parse_ranges, range_texts
        from hpo.service.rounds import Goal

        self._refuse_while_imported("run")
        number = asked_for.whole_or_none(trials, "trials")
        file = self.file if number is None else self.file.with_trials(number)
        if ranges is not None:
            asked_for.instance(ranges, Mapping, "ranges", 'write {"learning_rate": (1e-3, 0.1)}')
        moved = parse_ranges(range_texts(ranges or {}), file)
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
        """Repeat the best trials with fresh seeds, as `hpo confirm`."""
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
        """Train the best trials for so many epochs in all, as `hpo extend`."""
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
        tracking_uri: str | None = None,
    ) -> "Evaluation | OwnEvaluation":
        """Score the best trial on the test set, once, as `hpo evaluate`."""
        from hpo.api import training
        from hpo.display.progress import Retraining

        self._refuse_while_imported("evaluate")
        uri, top = record_address(tracking_uri), asked_for.whole(top, "top")
        with Retraining(sys.stdout) as listener:
            return training.evaluate(self.file, top, again, kept, uri, listener)

    def _site(self, placement: Placement | None, tracking_uri: str | None) -> Site:
        from hpo.display.notebook import open_display

        if placement is None:
            placement = Placement(ray_address=os.environ.get("RAY_ADDRESS") or None)
        asked_for.instance(
            placement, Placement, "placement", "write one such as hpo.Placement(inline=True)"
        )
        return Site(
            record_address(tracking_uri), placement, open_display(self.file), lambda: AGAIN
        )

    def _results(self, recorded: Any, tracking_uri: str | None) -> Results:
        from hpo.api.lookup import existing_record

        record = existing_record(record_address(tracking_uri))
        return Results(self.name, recorded, record.study(self.name))

    def _refuse_while_imported(self, method: str) -> None:
        """Raise InputError where a script runs a study while it is imported for its objective."""
        from hpo import forms

        module = forms.imported_now()
        if module:
            raise InputError(
                f"{module} calls {method} while it is imported for its objective; put that below "
                'if __name__ == "__main__":'
            )


def _file_name(name: str) -> str:
    """Return a name of a study as that of a file."""
    return name.replace("/", "-").replace("\0", "") or "study"
