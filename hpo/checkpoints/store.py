"""Where copies of folders are kept: what every such place can do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

# Each path in a copy with what it holds: the size and checksum (CRC-32) of a file, the target of a
# link, None for a folder.
Content: TypeAlias = dict[str, list[int] | str | None]


class Store(Protocol):
    """A place with copies of folders and small files, by trial; every call may raise OSError."""

    def put(self, trial: str, copy: str, folder: Path) -> Content:
        """Copy what lies in a folder; return what that is."""
        ...

    def get(self, trial: str, copy: str, folder: Path) -> Content:
        """Copy it back to an empty folder; return what it is."""
        ...

    def write(self, trial: str, name: str, text: str) -> None:
        """Write a file, all of it or none."""
        ...

    def read(self, trial: str, name: str) -> str:
        """Return what a file holds."""
        ...

    def entries(self, trial: str) -> Sequence[str]:
        """Return the names of the copies and files of a trial."""
        ...

    def remove(self, trial: str, name: str) -> None:
        """Remove a copy or a file; there need not be one."""
        ...

    def trials(self) -> Sequence[str]:
        """Return the names of all trials that there is anything of."""
        ...

    def forget(self, trial: str) -> None:
        """Remove all that there is of a trial."""
        ...
