"""The empty record that new ones copy: the same as MLflow's own, and never in the way."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hpo.cache import cache
from hpo.record import file as record_file
from hpo.record.tracking import Tracking
from tests.fixtures import begin, client_of, result


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with a template, which takes MLflow a while."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPO_CACHE", str(folder / "cache"))
        make(folder / "first")
        return cache()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets an entry for each time MLflow opens a record."""
    from hpo.record import connection

    opened: list[str] = []
    real = connection._open

    def noting(uri: str) -> object:
        opened.append(uri)
        return real(uri)

    monkeypatch.setattr(connection, "_open", noting)
    return opened


def contents(path: Path) -> list[tuple[object, ...]]:
    """Return the tables of a record, and what is in them but for its experiments."""
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT type, name FROM sqlite_master ORDER BY name"
        parts = database.execute(query).fetchall()
        tables = [name for kind, name in parts if kind == "table"]
        columns = [
            (name, *column) for name in tables
            for column in database.execute(f'PRAGMA table_info("{name}")')
        ]
        rows = [
            (name, *row) for name in tables if name != "experiments"
            for row in database.execute(f'SELECT * FROM "{name}"')
        ]
        return [*parts, *columns, *rows, *database.execute("PRAGMA user_version")]


def make(folder: Path) -> Path:
    folder.mkdir()
    with closing(Tracking(f"sqlite:///{folder}/mlflow.db")) as record:
        assert record.studies() == []
    return folder / "mlflow.db"


def template() -> Path:
    [path] = cache().glob("record-*.db")
    return path


def test_a_record_from_the_template_is_as_mlflow_makes_it(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    assert len(opened) == 1
    assert [path.name for path in cache().iterdir()] == [template().name]
    second = make(tmp_path / "second")
    assert len(opened) == 1  # it is read without MLflow
    assert contents(first) == contents(second)

    with closing(Tracking(f"sqlite:///{second}")) as record:
        begin(record)
        record.study("toy").deliver("loss", result(1), again=False)
        client = client_of(f"sqlite:///{second}")
        assert [e.name for e in client.search_experiments()] == ["toy", "Default"]
        assert client.get_experiment("0").artifact_location == str(tmp_path / "mlruns" / "0")
        recorded = record.study("toy").read()
    assert recorded is not None
    assert len(recorded.results) == 1
    assert second.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damage", ["garbage", "empty", "other version", "half", "pages", "no tables", "a study"]
)
def test_a_template_that_is_not_right_is_replaced(
    damage: str, tmp_path: Path, opened: list[str], made: Path
) -> None:
    shutil.copytree(made, cache())
    first = make(tmp_path / "first")
    assert opened == []
    expected, path, whole = contents(first), template(), template().read_bytes()
    if damage in ("other version", "no tables"):
        if damage == "no tables":
            path.unlink()
        with closing(sqlite3.connect(path)) as database:
            stamp = record_file._our_stamp() if damage == "no tables" else 1
            database.execute(f"PRAGMA user_version = {stamp}")
    elif damage == "pages":
        path.write_bytes(whole[: 3 * 4096] + b"\xff" * 60 * 4096 + whole[63 * 4096 :])
    elif damage == "a study":
        with closing(Tracking(f"sqlite:///{first}")) as record:
            begin(record)
        shutil.copy(first, path)
    else:
        wrong = {"garbage": b"garbage" * 1000, "empty": b"", "half": whole[:50_000]}
        path.write_bytes(wrong[damage])
    opened.clear()
    assert contents(make(tmp_path / "second")) == expected
    assert len(opened) == 1
    assert len(template().read_bytes()) == len(whole)


def test_without_a_cache_mlflow_makes_each_record(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "file"))
    first, second = make(tmp_path / "first"), make(tmp_path / "second")
    assert len(opened) == 2
    assert contents(first) == contents(second)


def test_another_mlflow_has_a_template_of_its_own(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "first")
    monkeypatch.setattr(record_file, "_our_stamp", lambda: 7)
    make(tmp_path / "second")
    assert len(opened) == 2
    assert len(list(cache().glob("record-*.db"))) == 2
