"""Which mount a file lies on, by tables as the kernel writes them."""

import contextlib
import shutil
import sqlite3
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import InputError
from hpo.record import file, mounts
from hpo.record.mounts import Mount, find_mount, mount_of
from hpo.record.tracking import Tracking
from tests.fixtures import Make, begin, hpo, result, table, undisturbed

# Optional fields, an escaped blank, a backslash, bind mounts, a hidden mount, an automounter.
TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 0:40 / /users rw,relatime shared:7 master:1 - nfs4 server:/users rw,vers=4.2,local_lock=none
29 28 0:41 / /users/local rw - xfs /dev/vdb rw
30 27 0:42 / /my\040data rw shared:1 - cifs //server/my\040data rw,nobrl
31 27 254:0 /srv /media/bound rw - ext4 /dev/vda rw
32 27 0:40 /ada /media/ada rw - nfs4 server:/users rw,vers=4.2
33 27 0:43 / /group rw - nfs server:/group rw,vers=3,nolock,local_lock=all
34 33 0:44 / /group/disk rw - ext4 /dev/vdc rw
35 33 0:45 / /group rw - tmpfs tmpfs rw
36 27 0:46 / /auto rw - autofs systemd-1 rw,fd=42
37 36 0:47 / /auto/ada rw - fuse.sshfs ada@host:/ rw,user_id=0
38 27 0:48 / /back\134slash rw - lustre 10.0.0.1@tcp:/fs rw,localflock
39 27 0:49 / /usb rw - fuseblk /dev/sdb1 rw
40 27 0:50 / /later/deep rw - nfs4 server:/deep rw
41 42 0:51 / /later/deep/er rw - nfs4 server:/deeper rw
42 27 0:52 / /later rw - xfs /dev/vdd rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "is_network"),
    [
        ("/", "ext4", False),
        ("/var/mlflow.db", "ext4", False),
        ("/users/ada/mlflow.db", "nfs4", True),
        ("/users", "nfs4", True),
        ("/usersly", "ext4", False),  # begins like a mount, and is none
        ("/users/local/mlflow.db", "xfs", False),
        ("/my data/mlflow.db", "cifs", True),
        ("/my", "ext4", False),
        ("/media/bound/x", "ext4", False),
        ("/media/ada/x", "nfs4", True),
        ("/group/mlflow.db", "tmpfs", False),  # mounted over the NFS
        ("/group/disk/mlflow.db", "tmpfs", False),  # and over what was mounted in that
        ("/auto/bob", "autofs", False),
        ("/auto/ada/mlflow.db", "fuse.sshfs", True),
        ("/back\\slash/x", "lustre", True),
        ("/usb/x", "fuseblk", False),
        ("/proc/1", "proc", False),
        ("/later/deep/x", "xfs", False),  # mounted over what lies deeper
        ("/later/deep/er/x", "nfs4", True),
    ],
)
def test_a_path_lies_on_the_mount_that_the_kernel_finds(
    path: str, kind: str, is_network: bool
) -> None:
    found = find_mount(TABLE, PurePosixPath(path))
    assert found is not None
    assert (found.kind, found.is_network) == (kind, is_network)


@pytest.mark.parametrize(
    ("path", "local"),
    [("/users/x", False), ("/my data/x", True), ("/back\\slash", True), ("/media/ada", False)],
)
def test_locks_that_other_machines_do_not_see_are_known(path: str, local: bool) -> None:
    found = find_mount(TABLE, PurePosixPath(path))
    assert found is not None
    assert found.has_local_locks == local


@given(st.lists(st.sampled_from([*TABLE.splitlines(), "", "27 1", "- -", "a b c d e f - g"])))
def test_a_table_in_any_order_with_anything_in_it_is_read(lines: list[str]) -> None:
    for path in ("/", "/users/local/x", "/group/disk/x"):
        find_mount("\n".join(lines), PurePosixPath(path))  # raises nothing


def test_a_mount_that_is_its_own_parent_is_the_root() -> None:
    table = "1 1 0:1 / / rw - rootfs rootfs rw\n2 1 0:2 / / rw - nfs server:/ rw\n"
    assert find_mount(table, PurePosixPath("/x")) == Mount("nfs", frozenset({"rw"}))


def test_without_a_table_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_mount("", PurePosixPath("/x")) is None
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "none")
    assert mount_of(tmp_path) is None


@pytest.mark.skipif(not mounts.TABLE.exists(), reason="there is no table of mounts")
def test_the_table_of_this_machine_is_read(tmp_path: Path) -> None:
    assert mount_of(Path("/proc/self/stat")) == mount_of(Path("/proc"))
    assert mount_of(Path("/proc")).kind == "proc"  # type: ignore[union-attr]
    (tmp_path / "link").symlink_to("/proc")
    assert mount_of(tmp_path / "link" / "new").kind == "proc"  # type: ignore[union-attr]


@pytest.fixture
def on_nfs(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the folder be one on NFS, by the table that is read; a disk is mounted in it."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 0:1 / / rw - ext4 /dev/vda rw\n"
        f"2 1 0:2 / {folder} rw - nfs4 server:/ rw\n"
        f"3 2 0:3 / {folder}/disk rw - xfs /dev/vdb rw\n"
    )
    monkeypatch.setattr(mounts, "TABLE", table)
    return folder


def journal_of(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return str(database.execute("PRAGMA journal_mode").fetchone()[0])


def test_a_new_record_has_a_log_unless_it_lies_on_nfs(
    folder: Path, on_nfs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Tracking(f"sqlite:///{folder}/disk/mlflow.db").close()
    assert journal_of(folder / "disk" / "mlflow.db") == "wal"
    assert not capsys.readouterr().err
    record = Tracking(f"sqlite:///{folder}/new.db")
    said = capsys.readouterr().err
    assert said == (
        f"the record {folder}/new.db is on a network file system (nfs4), so it is kept without a "
        "write-ahead log\n"
    )
    begin(record)
    record.study("toy").deliver("loss", result(1), again=False)
    assert journal_of(folder / "new.db") == "delete"
    assert not list(folder.glob("new.db-*"))
    record.study("toy").verify()
    record.study("toy").confirm()
    record.close()
    Tracking(f"sqlite:///{folder}/new.db").close()
    assert not capsys.readouterr().err  # it is said once


def test_a_record_with_a_log_that_came_to_nfs_leaves_it_and_keeps_all(
    folder: Path, on_nfs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = folder / "began"
    began.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as open_elsewhere:
        open_elsewhere.execute("PRAGMA journal_mode = WAL")
        open_elsewhere.execute("CREATE TABLE in_the_log (x)")
        for name in ("mlflow.db", "mlflow.db-wal"):  # as after a process that was killed
            shutil.copy(folder / name, began / name)
    assert (began / "mlflow.db-wal").stat().st_size > 0
    Tracking(f"sqlite:///{began}/mlflow.db").close()
    assert "is kept without a write-ahead log" in capsys.readouterr().err
    assert journal_of(began / "mlflow.db") == "delete"
    assert not list(began.glob("mlflow.db-*"))
    with contextlib.closing(sqlite3.connect(began / "mlflow.db")) as database:
        assert database.execute("SELECT count(*) FROM in_the_log").fetchone() == (0,)


def test_a_log_that_others_have_open_stays(
    folder: Path, on_nfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "ALONE_SECONDS", 0.2)
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("SELECT count(*) FROM runs").fetchone()  # and rests
        with pytest.raises(
            InputError, match=r"mlflow.db has a write-ahead log, .* nfs4, and another process has"
        ):
            Tracking(f"sqlite:///{folder}/mlflow.db")
    assert journal_of(folder / "mlflow.db") == "wal"
    Tracking(f"sqlite:///{folder}/mlflow.db").close()
    assert journal_of(folder / "mlflow.db") == "delete"


def test_a_study_on_nfs_comes_to_the_same_table(
    folder: Path, on_nfs: Path, make_study: Make
) -> None:
    expected = undisturbed(make_study)
    uri = f"sqlite:///{folder}/new.db"
    hpo("run", make_study(), "--inline", "--tracking-uri", uri)
    assert journal_of(folder / "new.db") == "delete"
    assert table("toy", "--tracking-uri", uri) == expected
