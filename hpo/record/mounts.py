"""Which file system a file is on, by the kernel's table of mounts."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

TABLE = Path("/proc/self/mountinfo")  # on Linux; elsewhere nothing is known
# Those that other machines reach as well, or whose shared memory does not hold what they write.
_NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "virtiofs",
    "wekafs",
}  # fmt: skip
_LOCAL_LOCKS = {"localflock", "local_lock=all", "local_lock=posix", "nobrl", "nolock"}
_ESCAPED = re.compile(r"\\([0-7]{3})")  # blanks, tabs, line ends and backslashes


@dataclass(frozen=True)
class Mount:
    """A mounted file system."""

    kind: str
    options: frozenset[str] = frozenset()

    @property
    def is_network(self) -> bool:
        """Return whether other machines may write to it, as far as its kind tells."""
        # What a FUSE reaches only its program knows; fuseblk is one on a disk.
        return self.kind in _NETWORK or self.kind.partition(".")[0] == "fuse"

    @property
    def has_local_locks(self) -> bool:
        """Return whether locks taken here are invisible to other machines."""
        return bool(self.options & _LOCAL_LOCKS)


def mount_of(path: Path) -> Mount | None:
    """Return the mount that a file is on, or will be on; None if unknown."""
    real = PurePosixPath(os.path.realpath(path))  # which mounts what is mounted at the first touch
    try:
        return find_mount(TABLE.read_bytes().decode("utf-8", "surrogateescape"), real)
    except OSError:
        return None


def find_mount(table: str, path: PurePosixPath) -> Mount | None:
    """Return the mount of a path without links, as the kernel finds it; None if there is none.

    The search goes from the root down, from each mount to the first one inside it on the way. So
    neither the order of the lines nor anything hidden below another mount matters.
    """
    entries = list(_entries(table))
    numbers = {entry.number for entry in entries}
    on_the_way = [entry for entry in entries if path.is_relative_to(entry.point)]
    found = None
    below = [e for e in on_the_way if e.parent not in numbers or e.parent == e.number]
    while below:
        found = min(below, key=lambda entry: len(entry.point.parts))
        on_the_way.remove(found)
        below = [entry for entry in on_the_way if entry.parent == found.number]
    return found.mount if found else None


@dataclass(frozen=True)
class _Entry:
    number: str
    parent: str
    point: PurePosixPath
    mount: Mount


def _entries(table: str) -> Iterator[_Entry]:
    """Yield what the lines of the table say, see proc_pid_mountinfo(5); others are skipped."""
    for line in table.split("\n"):
        before, _, after = line.partition(" - ")
        first, last = before.split(" "), after.split(" ")
        if len(first) >= 6 and len(last) >= 2:
            options = frozenset((*first[5].split(","), *last[-1].split(",")))
            point = PurePosixPath(_unescaped(first[4]))
            yield _Entry(first[0], first[1], point, Mount(_unescaped(last[0]), options))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
