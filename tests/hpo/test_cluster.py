"""What travels to a cluster, and where it is found and with which token."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpo import cluster, wording
from hpo.cluster import find_address, log_command, pack, token_export
from hpo.errors import InputError
from hpo.study import read
from tests.fixtures import Make, write_study


def test_the_study_file_and_its_objective_travel_and_nothing_beside_them(
    folder: Path, make_study: Make
) -> None:
    for name in (".env", "other.toml", "notes.txt", "data.csv"):
        (folder / name).write_text("secret")
    parcel = pack(read(make_study()))
    assert sorted(parcel.files) == ["toy.py", "toy.toml"]
    assert parcel.study_file == "toy.toml"


def test_what_the_image_has_stays_here(folder: Path, make_study: Make) -> None:
    file = make_study(
        objective="trainer.objectives:perceptron", metric="validation_accuracy",
        data={"source": "digits"},
    )
    assert list(pack(read(file)).files) == ["toy.toml"]


def test_a_program_travels_and_stays_executable_whatever_the_path_of_its_study(
    folder: Path,
) -> None:
    (folder / "inside").mkdir()
    (folder / "train.sh").write_text("#!/bin/sh\necho loss=1\n")
    (folder / "train.sh").chmod(0o755)
    text = 'command = ["./train.sh", "{rate}"]\nmetric = "loss"\ndirection = "minimize"\n'
    (folder / "toy.toml").write_text(text + "search_space.rate = { low = 0.1, high = 1.0 }\n")
    for way in (folder, folder / "inside" / ".."):
        parcel = pack(read(way / "toy.toml"))
        assert sorted(parcel.files) == ["toy.toml", "train.sh"]
    parcel.write(folder / "there")
    assert os.access(folder / "there" / "train.sh", os.X_OK)
    assert not os.access(folder / "there" / "toy.toml", os.X_OK)


def test_a_table_of_a_warm_start_travels(folder: Path, make_study: Make) -> None:
    (folder / "old.csv").write_text("state,value")
    file = make_study(warm_start={"from": ["old.csv", "gone.csv", "a-study"]})
    assert sorted(pack(read(file)).files) == ["old.csv", "toy.py", "toy.toml"]


def test_a_package_travels_with_its_modules_alone(folder: Path, make_study: Make) -> None:
    package = folder / "toys_of_mine"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "inner" / "__init__.py").touch()
    shutil.copy(folder / "toy.py", package / "inner" / "objectives.py")
    (package / "weights.bin").touch()
    parcel = pack(read(make_study(objective="toys_of_mine.inner.objectives:quadratic")))
    assert sorted(parcel.files) == [
        "toy.toml",
        "toys_of_mine/__init__.py",
        "toys_of_mine/inner/__init__.py",
        "toys_of_mine/inner/objectives.py",
    ]
    for name in [name for name in sys.modules if name.startswith("toys_of_mine")]:
        del sys.modules[name]


def test_a_module_found_elsewhere_is_put_beside_the_study(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, studies = folder / "elsewhere", folder / "studies"
    elsewhere.mkdir()
    studies.mkdir()
    shutil.move(folder / "toy.py", elsewhere / "toy.py")
    monkeypatch.syspath_prepend(elsewhere)
    parcel = pack(read(write_study(studies)))
    assert parcel.files == {"toy.toml": studies / "toy.toml", "toy.py": elsewhere / "toy.py"}


def test_data_keeps_its_place_relative_to_the_study_file(folder: Path) -> None:
    studies = folder / "project" / "studies"
    studies.mkdir(parents=True)
    shutil.copy(folder / "toy.py", studies)
    (folder / "data").mkdir()
    (folder / "data" / "wine.csv").write_text("a,b\n1,2\n")
    study = read(write_study(studies, data={"source": "../../data/wine.csv", "target": "b"}))
    parcel = pack(study)
    assert sorted(parcel.files) == [
        "data/wine.csv", "project/studies/toy.py", "project/studies/toy.toml"
    ]
    assert parcel.study_file == "project/studies/toy.toml"


def test_of_a_folder_of_images_its_four_files_travel(folder: Path, make_study: Make) -> None:
    names = ["train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte", "t10k-images-idx3-ubyte"]
    (folder / "mnist").mkdir()
    for name in [*names, ".env", "train.py", "train-images-idx3-ubyte.gz.old"]:
        (folder / "mnist" / name).touch()
    parcel = pack(read(make_study(data={"source": "mnist"})))
    assert sorted(parcel.files) == sorted(["toy.py", "toy.toml", *(f"mnist/{n}" for n in names)])


@pytest.mark.parametrize("source", ["digits", "openml:iris", "/there/data.csv"])
def test_data_of_the_cluster_does_not_travel(folder: Path, make_study: Make, source: str) -> None:
    assert len(pack(read(make_study(data={"source": source}))).files) == 2


def test_more_files_travel_when_they_are_named(folder: Path, make_study: Make) -> None:
    (folder / "helpers.py").touch()
    study = read(make_study())
    assert "helpers.py" in pack(study, [Path("helpers.py")]).files
    for wrong in (Path("none.py"), Path(".")):
        with pytest.raises(InputError, match=r"--with .*no such file; name each"):
            pack(study, [wrong])


def test_missing_data_is_told_before_anything_travels(folder: Path, make_study: Make) -> None:
    with pytest.raises(InputError, match=r"toy\.toml: \[data\] source: .*none\.csv"):
        pack(read(make_study(data={"source": "none.csv"})))


def test_too_much_is_refused_with_a_remedy(
    folder: Path, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "large.npz").write_bytes(bytes(2_000_000))
    monkeypatch.setattr(cluster, "MOST_BYTES", 1_000_000)
    with pytest.raises(InputError, match=r"2(\.\d+)? MB.*at most 1 MB.*large\.npz.*\[data\]"):
        pack(read(make_study(data={"source": "large.npz"})))


# where to, and as which job


def test_a_shell_reads_the_entry_point_as_it_was_meant(tmp_path: Path) -> None:
    printing = tmp_path / "python"
    printing.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    printing.chmod(0o755)
    name = "it's a; touch x && $(study).toml"
    line = cluster.entry_point(name, ["run", "--range", "learning_rate=1e-3:1 x"])
    printed = subprocess.run(
        ["sh", "-c", line], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    ).stdout
    assert printed.splitlines() == [
        "-P", "-m", "hpo", "run", "--range", "learning_rate=1e-3:1 x", "--ray-address", "auto",
        "--", name,
    ]
    assert list(tmp_path.iterdir()) == [printing]


def test_studies_of_similar_names_have_jobs_of_their_own() -> None:
    names = ["a b", "a-b", "a/b", "ä b", "a" * 60, "a" * 61, "a", "a-1"]
    ids = {cluster._job_id(name, 1) for name in names}
    assert len(ids) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", job) for job in ids)


def test_only_address_and_token_are_read_from_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_TOKEN", "POSTGRES_PASSWORD"):
        monkeypatch.setenv(name, "")  # so that what is read here is taken back afterwards
        monkeypatch.delenv(name)
    file = folder / ".env"
    with pytest.raises(InputError, match=r"--cluster URL.*RAY_API_SERVER_ADDRESS.*\.env"):
        find_address(None, file)
    file.write_text(
        "# of the cluster\nPOSTGRES_PASSWORD=p\nRAY_AUTH_TOKEN=t\n"
        "RAY_API_SERVER_ADDRESS=http://there:1\n"
    )
    assert find_address(None, file) == "http://there:1"
    assert os.environ["RAY_AUTH_TOKEN"] == "t"
    assert "POSTGRES_PASSWORD" not in os.environ
    assert find_address("http://here", file) == "http://here"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    find_address(None, file)
    assert os.environ["RAY_AUTH_TOKEN"] == "mine"


def test_the_token_may_be_in_a_file_that_the_file_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that what is read here is taken back afterwards
        monkeypatch.delenv(name)
    file = folder / ".env"
    file.write_text(
        "RAY_AUTH_TOKEN=\nRAY_AUTH_TOKEN_PATH=/secrets/token\nRAY_API_SERVER_ADDRESS=http://there:1\n"
    )
    find_address(None, file)
    assert "RAY_AUTH_TOKEN" not in os.environ  # an empty one would go before the file
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == "/secrets/token"
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    find_address(None, file)
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ


@pytest.mark.parametrize(("line", "token"), [
    ("RAY_AUTH_TOKEN=abc", "abc"),
    ("export RAY_AUTH_TOKEN = abc  # of the cluster", "abc"),
    ("RAY_AUTH_TOKEN='a $b #c'", "a $b #c"),
    ('RAY_AUTH_TOKEN="abc"', "abc"),
    ("RAY_AUTH_TOKEN=a$b", "a$b"),
    ("RAY_AUTH_TOKEN=a=b", "a=b"),
    ("RAY_AUTH_TOKEN=", ""),
    ("RAY_AUTH_TOKEN", None),
    ("# RAY_AUTH_TOKEN=abc", None),
])  # fmt: skip
def test_the_token_is_read_from_its_file_as_docker_compose_reads_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, token: str | None
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")  # so that what is read here is taken back afterwards
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    (folder / ".env").write_text(f"no pair\n{line}\nRAY_API_SERVER_ADDRESS=http://there:1\n")
    assert find_address(None, folder / ".env") == "http://there:1"
    assert os.environ.get("RAY_AUTH_TOKEN") == token


def test_the_log_is_followed_with_the_token_of_the_file(folder: Path) -> None:
    file = folder / "my env"
    file.write_text(
        "RAY_AUTH_TOKEN=\nRAY_AUTH_TOKEN_PATH=/secrets/token\nPOSTGRES_PASSWORD=p\n"
        "RAY_API_SERVER_ADDRESS=http://there:1\n"
    )
    line = log_command("http://there:1", "job-1", token_export(file))
    assert line == (
        "(export RAY_AUTH_MODE=token $(grep -E '^RAY_AUTH_.*=.' '" + str(file) + "'); "
        "ray job logs --address http://there:1 --follow job-1)"
    )
    typed = line.partition("ray job")[0] + "env)"  # shows what the command would get
    shown = subprocess.run(
        ["bash", "-c", typed], env={"PATH": os.environ["PATH"]}, capture_output=True,
        text=True, check=True,
    ).stdout.splitlines()
    assert {"RAY_AUTH_MODE=token", "RAY_AUTH_TOKEN_PATH=/secrets/token"} <= set(shown)
    assert not any(s.startswith(("RAY_AUTH_TOKEN=", "POSTGRES_PASSWORD")) for s in shown)
    file.write_text("RAY_AUTH_MODE=token\nRAY_AUTH_TOKEN=abc\n")
    assert token_export(file).startswith("export $(grep ")
    for other in ("RAY_AUTH_TOKEN='a b'", "RAY_AUTH_TOKEN=a  # mine", "RAY_AUTH_TOKEN=", ""):
        file.write_text(other + "\n")  # which export would read otherwise, or nothing to export
        assert token_export(file) == ""
    assert token_export(folder / "none.env") == ""
    assert log_command("http://a:1", "b") == "ray job logs --address http://a:1 --follow b"


def test_a_file_of_variables_that_cannot_be_read_is_one_line(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = folder / ".env"
    file.write_text("no pair\nRAY_AUTH_TOKEN='secret\nRAY_API_SERVER_ADDRESS=http://there:1\n")
    with pytest.raises(InputError, match=r"\.env: the value of RAY_AUTH_TOKEN cannot be") as error:
        find_address(None, file)
    assert "secret" not in str(error.value)
    file.write_bytes(b"RAY_AUTH_TOKEN=\xff\n")
    with pytest.raises(InputError, match=r"\.env: cannot be read: .*utf-8"):
        find_address(None, file)
    with pytest.raises(InputError, match=r"cannot be read: .*directory"):
        find_address(None, folder)
    assert not caplog.records  # of the library, about lines that are not read here


def test_what_is_said_names_the_remedy(
    folder: Path, make_study: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (folder / "large.npz").write_bytes(bytes(2_000_000))
    file = make_study(data={"source": "large.npz"})
    monkeypatch.setattr(cluster, "MOST_BYTES", 1_000_000)
    size = sum(f.stat().st_size for f in (folder / "large.npz", file, folder / "toy.py"))
    with pytest.raises(InputError) as caught:
        pack(read(file))
    assert str(caught.value) == (
        f"{file}: the files to send are {wording.number(size / 1e6)} MB in total, but the cluster "
        f"accepts at most 1 MB (the largest is {folder}/large.npz); put the data where every node "
        "of the cluster can read it, and set [data] source to its absolute path"
    )
    monkeypatch.setattr(cluster, "MOST_BYTES", size)
    assert pack(read(file)).bytes == size
    (folder / "large.npz").unlink()
    with pytest.raises(InputError) as caught:
        pack(read(file))
    assert str(caught.value) == (
        f"{file}: [data] source: '{folder}/large.npz' does not exist"
    )
    elsewhere = tmp_path.parent / f"{tmp_path.name} elsewhere.npz"
    elsewhere.write_bytes(b"x")
    (folder / "large.npz").symlink_to(elsewhere)
    with pytest.raises(InputError) as caught:
        pack(read(file))
    assert str(caught.value) == (
        f"{file}: {folder}/large.npz is a symbolic link to {elsewhere}, outside the study's "
        f"folder; to send it anyway, pass --with {folder}/large.npz"
    )
    assert set(pack(read(file), [folder / "large.npz"]).files) == {
        "toy.toml", "toy.py", "large.npz"
    }
    (folder / "large.npz").unlink()
    (folder / "near.npz").write_bytes(b"x")
    (folder / "large.npz").symlink_to(folder / "near.npz")
    assert "large.npz" in pack(read(file)).files


def test_a_job_is_named_after_its_study() -> None:
    assert re.fullmatch("hpo-a-b-c-[0-9a-f]{8}-3", cluster._job_id("a b/c", 3))
    assert cluster._job_id("-" + "x" * 50 + "-", "").startswith(f"hpo-{'x' * 40}-")
    assert cluster.entry_point("a.toml", ["evaluate", "--top", "2"]) == (
        "exec python -P -m hpo evaluate --top 2 -- a.toml"
    )


@pytest.mark.parametrize("name", ["RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN"])
def test_a_value_that_cannot_be_read_is_named(folder: Path, name: str) -> None:
    (folder / ".env").write_text(f"  export {name} = 'open\n")
    with pytest.raises(InputError) as caught:
        find_address("http://here", folder / ".env")
    assert str(caught.value) == (
        f"{folder}/.env: the value of {name} cannot be read; write {name}=VALUE on one line, "
        "without quotes or with one at each end"
    )
    with pytest.raises(InputError) as caught:
        find_address(None, folder / "none.env")
    assert str(caught.value) == (
        "no cluster address; pass --cluster URL, or set RAY_API_SERVER_ADDRESS in the "
        f"environment or in {folder}/none.env"
    )


def test_a_path_of_a_token_goes_before_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/a/token")
    (folder / ".env").write_text("RAY_AUTH_TOKEN=t\nRAY_API_SERVER_ADDRESS=http://there:1\n")
    assert find_address("", folder / ".env") == "http://there:1"
    assert "RAY_AUTH_TOKEN" not in os.environ
