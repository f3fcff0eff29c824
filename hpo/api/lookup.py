"""Find a recorded study by its name or its study file."""

import atexit
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.api.asked_for import instance
from hpo.errors import InputError
from hpo.record.file import absolute, path_of

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    from hpo.record.process import RecordProcess
    from hpo.record.tracking import Tracking
    from hpo.record.values import Recorded
    from hpo.study import StudyFile

DEFAULT_RECORD = "sqlite:///mlflow.db"
_closed_at_exit: set[str] = set()  # records, which a notebook opens again and again


def record_address(given: str | None = None) -> str:
    """Return the address of the record: as given, else MLFLOW_TRACKING_URI, else a file here."""
    if given is not None:
        instance(given, str, "tracking_uri")
    return given or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_RECORD


def existing_record(tracking_uri: str) -> "Tracking":
    """Return the record; raise InputError if there is none yet."""
    from hpo.record.tracking import Tracking

    uri = absolute(tracking_uri)
    require_file(uri)
    record = Tracking(uri)
    if uri not in _closed_at_exit:
        _closed_at_exit.add(uri)
        atexit.register(record.close)
    return record


def read_recorded(study: str, tracking_uri: str) -> "tuple[str, Recorded]":
    """Return the name of a study, given by name or study file, and what is recorded."""
    record, name = existing_record(tracking_uri), study_name(study)
    return name, find(record, name)


def find(record: "Tracking | RecordProcess", name: str) -> "Recorded":
    """Return what is recorded of a study; raise InputError if that is nothing."""
    recorded = record.study(name).read()
    if recorded is None:
        raise unknown(record, name)
    return recorded


def unknown(record: "Tracking | RecordProcess", name: str) -> InputError:
    """Return the error for an unknown study; it names the closest one, or all."""
    known = [known for known, _ in record.studies()]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"studies: {', '.join(known) or 'none yet'}"
    return InputError(f"no study named {name!r} is recorded; {hint}")


def read_study_file(study: str, command: str, overrides: Sequence[str]) -> "StudyFile":
    """Read a study file; raise InputError if a name was given."""
    from hpo.study import read

    if not study.endswith(".toml"):
        raise InputError(
            f"{study}: {command} needs the study file (.toml), not the name, because the file "
            "defines the data and how it is split"
        )
    return read(Path(study), overrides)


def study_name(study: str) -> str:
    """Return the name of a study, given by name or study file."""
    if not study.endswith(".toml"):
        return study
    from hpo.study import read

    return read(Path(study)).name


def require_file(uri: str) -> None:
    """Raise InputError if the address is an SQLite file that does not exist."""
    path = path_of(uri)
    if path and not path.exists():
        raise InputError(
            f"there is no record at {path}; run a study first, or choose another record with "
            "--tracking-uri (in Python: tracking_uri); a record is in the folder where its study "
            "ran"
        )


