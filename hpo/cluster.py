"""Send a study to a Ray cluster as a job, with exactly the files it needs."""

import hashlib
import io
import logging
import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo import objective_code, wording
from hpo.data import own_files, sources
from hpo.errors import HPOError, InputError
from hpo.record.owner import SENT_BY, this_user
from hpo.service.warm_start import is_table
from hpo.study import StudyFile
from hpo.workers import ray_settings

MOST_BYTES = 100_000_000  # the cluster accepts uploads of at most 100 MiB
STOP_SECONDS = 60.0  # that a cancelled study may take
_TOKEN, _TOKEN_PATH = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_VARIABLES = ("RAY_API_SERVER_ADDRESS", _TOKEN, _TOKEN_PATH)  # read from the env file
_IDX_FILE = re.compile(r"(train|t10k)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


@dataclass(frozen=True)
class Parcel:
    """What is sent: local files by their path on the cluster, and the path of the study file.

    `packages` are installed there, in addition to those of the image.
    """

    files: Mapping[str, Path]
    study_file: str
    packages: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The total size of all files."""
        return sum(file.stat().st_size for file in self.files.values())

    def write(self, folder: Path) -> None:
        """Copy the files to a folder, programs as executable as they are."""
        for inside, file in self.files.items():
            copy = folder / inside
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)


def pack(study: StudyFile, also: Sequence[Path] = ()) -> Parcel:
    """Return the files a study needs: its own, the data it names, the code of its objective.

    Data with an absolute path is assumed to be on the cluster already, and so is an installed
    module. `also` are additional files. Paths stay the same relative to the study file.

    Raises InputError if something is missing, if a symbolic link that is not in `also` leads out
    of the study's folder, or if the total size is too large.
    """
    folder = study.path.absolute().parent
    chosen = {_lexical(study.path.absolute()): study.path}
    named = {_lexical(given.absolute()) for given in also}
    for inside, file in (*_data_files(study, folder), *_code_files(study, folder)):
        chosen[_lexical(inside)] = file
        if _leads_away(file, folder) and _lexical(file.absolute()) not in named:
            raise InputError(
                f"{study.path}: {file} is a symbolic link to {file.resolve()}, outside the study's "
                f"folder; to send it anyway, pass --with {shlex.quote(str(file))}"
            )
    for given in also:
        if not given.is_file():
            raise InputError(f"--with {given}: no such file; name each file separately")
        chosen[_lexical(given.absolute())] = given
    root = os.path.commonpath([os.path.dirname(inside) for inside in chosen])
    parcel = Parcel(
        {os.path.relpath(inside, root): file for inside, file in chosen.items()},
        os.path.relpath(_lexical(study.path.absolute()), root),
        study.environment.packages,
    )
    if parcel.bytes > MOST_BYTES:
        largest = max(parcel.files.values(), key=lambda file: file.stat().st_size)
        raise InputError(
            f"{study.path}: the files to send are {_megabytes(parcel.bytes)} in total, but the "
            f"cluster accepts at most {_megabytes(MOST_BYTES)} (the largest is {largest}); put the "
            "data where every node of the cluster can read it, and set [data] source to its "
            "absolute path"
        )
    return parcel


def connect(address: str | None, env_file: Path) -> "Cluster":
    """Return the cluster at the address that `find_address` returns."""
    is_set = bool(os.environ.keys() & {_TOKEN, _TOKEN_PATH})
    found = find_address(address, env_file)
    return Cluster(found, "" if is_set else token_export(env_file))


def token_export(env_file: Path) -> str:
    """Return the shell line that exports the token of an env file, for Ray's own commands.

    It is "" if the file sets none, or sets it in a form that the shell would read differently.
    """
    values = {name: value for name, value in _variables(env_file).items() if value}
    values.pop("RAY_API_SERVER_ADDRESS", None)
    lines = env_file.read_text(encoding="utf-8").splitlines() if values else []
    if not values or not all(
        f"{name}={value}" in lines and re.fullmatch(r"[^\s*?\[]+", value)
        for name, value in values.items()
    ):
        return ""
    has_mode = any(line.startswith("RAY_AUTH_MODE=") for line in lines)
    mode = "" if has_mode else "RAY_AUTH_MODE=token "
    return f"export {mode}$(grep -E '^RAY_AUTH_.*=.' {shlex.quote(str(env_file))})"


def find_address(address: str | None, env_file: Path) -> str:
    """Return the address of the cluster, from the argument, the environment or an env file.

    From the NAME=VALUE lines of the file, only the address and the token, or the path of its file,
    are read. The environment takes precedence.
    """
    found = _variables(env_file)
    address = address or found.get("RAY_API_SERVER_ADDRESS")
    if not address:
        raise InputError(
            "no cluster address; pass --cluster URL, or set RAY_API_SERVER_ADDRESS in the "
            f"environment or in {env_file}"
        )
    from_file = found.get(_TOKEN_PATH) and not found.get(_TOKEN)  # make writes an empty one then
    name = _TOKEN_PATH if from_file else _TOKEN
    if name in found and not os.environ.keys() & {_TOKEN, _TOKEN_PATH}:
        os.environ[name] = found[name]
    return address


def entry_point(study_file: str, command: Sequence[str]) -> str:
    """Return the shell line that runs an hpo command on the study.

    `exec` replaces the shell. Commands that train use the workers of the cluster. They run with
    `python`, which is the one with the job's own packages, if it has any. With -P, no file of the
    study can hide a module.
    """
    where = [] if command[0] == "evaluate" else ["--ray-address", "auto"]
    return f"exec {shlex.join(['python', '-P', '-m', 'hpo', *command, *where, '--', study_file])}"


class Cluster:
    """The jobs of a Ray cluster, reached at the address of its dashboard.

    Ray itself reads the token: from RAY_AUTH_TOKEN, or the file named by RAY_AUTH_TOKEN_PATH.
    `export` is the shell line that sets them for Ray's own commands, "" if the environment does.
    """

    def __init__(self, address: str, export: str = "") -> None:
        ray_settings.apply(ray_settings.FOR_JOBS)
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        for name in ("ray", "ray.dashboard", "ray._private"):
            logging.getLogger(name).setLevel(logging.ERROR)  # it would log every upload
        self.address, self._export = address, export
        self._errors = (RuntimeError, ConnectionError, ValueError, OSError, AuthenticationError)
        try:
            self._client: Any = JobSubmissionClient(address)
        except self._errors as error:
            raise self._translation(error) from error

    def submit(self, study: str, parcel: Parcel, command: Sequence[str] = ("run",)) -> str:
        """Start an hpo command on the cluster, and return the id of its job immediately.

        `command` is its name and its options. Raises InputError if a job of this study is running.
        """
        attempts = self._attempts(study)
        for attempt, job in attempts.items():
            if not job.status.is_terminal():
                raise self._runs_already(study, _job_id(study, attempt))
        attempt = max(attempts, default=0) + 1
        job_id = _job_id(study, attempt)
        with tempfile.TemporaryDirectory(prefix="hpo-") as folder:
            parcel.write(Path(folder))
            try:
                self._client.submit_job(
                    entrypoint=entry_point(parcel.study_file, command),
                    submission_id=job_id,
                    runtime_env={
                        "working_dir": folder,
                        "env_vars": {SENT_BY: this_user()},
                        **({"pip": list(parcel.packages)} if parcel.packages else {}),
                    },
                    metadata={"study": study},
                )
            except self._errors as error:
                if "already exists" in str(error):  # somebody was faster
                    raise self._runs_already(study, job_id) from error
                raise self._translation(error) from error
        return job_id

    def cancel(self, study: str) -> str:
        """Stop the job of a study as Ctrl-C would, wait until it has ended, and return its id.

        Raises InputError if none is running.
        """
        running = [a for a, job in self._attempts(study).items() if not job.status.is_terminal()]
        if not running:
            raise InputError(f"no job of the study {study!r} is running at {self.address}")
        job_id = _job_id(study, max(running))
        try:
            self._client.stop_job(job_id)
            end = time.monotonic() + STOP_SECONDS
            while not self._client.get_job_status(job_id).is_terminal():
                if time.monotonic() > end:
                    raise HPOError(f"the job {job_id} was asked to stop but is still running; "
                                   f"check its output: {self.log_command(job_id)}")
                time.sleep(0.2)
        except self._errors as error:
            raise self._translation(error) from error
        return job_id

    def log_command(self, job: str) -> str:
        """Return the shell line that follows the output of a job."""
        return log_command(self.address, job, self._export)

    def _attempts(self, study: str) -> dict[int, Any]:
        try:
            jobs = self._client.list_jobs()
        except self._errors as error:
            raise self._translation(error) from error
        prefix = _job_id(study, "")
        attempts = {}
        for job in jobs:
            number = (job.submission_id or "").removeprefix(prefix)
            if number != job.submission_id and number.isdecimal():
                attempts[int(number)] = job
        return attempts

    def _runs_already(self, study: str, job: str) -> InputError:
        return InputError(
            f"the study {study!r} is already running, as the job {job}; follow it with "
            f"`{self.log_command(job)}`, or stop it with `hpo cancel {shlex.quote(study)}`"
        )

    def _translation(self, error: Exception) -> HPOError:
        text = next((line for line in str(error).splitlines() if line), type(error).__name__)
        text = text.partition(". ")[0]  # Ray adds pages of advice
        return InputError(
            f"cannot send jobs to {self.address}: {text}; check the address "
            "(--cluster, RAY_API_SERVER_ADDRESS) and the token (RAY_AUTH_TOKEN)"
        )


def log_command(address: str, job: str, export: str = "") -> str:
    """Return the shell line that follows the output of a job, after `export` in a subshell."""
    command = shlex.join(["ray", "job", "logs", "--address", address, "--follow", job])
    return f"({export}; {command})" if export else command


def _job_id(study: str, attempt: int | str) -> str:
    """Return the id of a job: readable, and different for each study and attempt."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", study).strip("-")[:40]
    digest = hashlib.sha256(study.encode()).hexdigest()[:8]
    return f"hpo-{readable}-{digest}-{attempt}"


def _data_files(study: StudyFile, folder: Path) -> list[tuple[Path, Path]]:
    """Return files of [data] and [warm_start] with relative names, and the path to each.

    Missing tables of [warm_start] are skipped: a study that has started does not need them.
    """
    names = [name for name in study.data_files if not Path(name).is_absolute()]
    try:
        own = [(folder / name, file) for name, file in own_files.find(names, folder).items()]
    except InputError as error:
        raise InputError(f"{study.path}: {error}") from error
    tables = [
        (folder / name, folder / name)
        for name in (study.warm_start.sources if study.warm_start is not None else ())
        if is_table(name) and not Path(name).is_absolute() and (folder / name).is_file()
    ]
    return [*own, *tables, *_source_files(study, folder)]


def _source_files(study: StudyFile, folder: Path) -> list[tuple[Path, Path]]:
    if study.data is None:
        return []
    source = study.data.source
    path = folder / source
    if not sources.is_beside(source):
        return []
    if path.is_dir():
        return [(path / f.name, f) for f in sorted(path.iterdir()) if _IDX_FILE.fullmatch(f.name)]
    if not path.is_file():
        raise InputError(f"{study.path}: [data] source: {str(path)!r} does not exist")
    return [(path, path)]


def _code_files(study: StudyFile, folder: Path) -> list[tuple[Path, Path]]:
    """Return the files of the objective and of [notify], except installed ones."""
    found: dict[str, Path] = {}
    if study.notify is not None:
        found |= objective_code.files_of_command(study.notify.command, folder)
    if study.objective.name.partition(":")[0].partition(".")[0] not in objective_code.OURS:
        found |= study.objective.files()
    return [
        (folder / path, file)
        for path, file in found.items() if not objective_code.is_installed(file)
    ]


def _variables(file: Path) -> dict[str, str]:
    """Return the address, the token and the path of its file, as far as an env file sets them.

    Dollar signs are literal. Raises InputError if one of the values cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    from dotenv import dotenv_values

    logging.getLogger("dotenv").setLevel(logging.ERROR)  # other lines do not matter here
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    for name in _VARIABLES:
        if name not in values and re.search(rf"^\s*(export\s+)?{name}\s*=", text, re.MULTILINE):
            raise InputError(
                f"{file}: the value of {name} cannot be read; write {name}=VALUE on one line, "
                "without quotes or with one at each end"
            )
    return {name: value for name in _VARIABLES if (value := values.get(name)) is not None}


def _leads_away(file: Path, folder: Path) -> bool:
    """Return whether links lead from a file in or near the study's folder to somewhere else."""
    near = os.path.commonpath([_lexical(folder), _lexical(file.absolute())])
    return not file.resolve().is_relative_to(Path(near).resolve())


def _lexical(path: Path) -> str:
    """Return a path without `..` in it, not following links."""
    return os.path.normpath(path)


def _megabytes(size: int) -> str:
    return f"{wording.number(size / 1e6)} MB"
