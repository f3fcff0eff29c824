"""Where copies of folders are kept: the interface of every such place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

# Each path in a copy with what it holds: the size and checksum (CRC-32) of a file, the target of a
# link, None for a folder.
Content: TypeAlias = dict[str, list[int] | str | None]


class Store(Protocol):
    """A place for copies of folders and small files, by trial; every call may raise OSError."""

    def put(self, trial: str, copy: str, folder: Path) -> Content:
        """Copy the contents of a folder; return what they are."""
        ...

    def get(self, trial: str, copy: str, folder: Path) -> Content:
        """Copy a copy back to an empty folder; return its contents."""
        ...

    def write(self, trial: str, name: str, text: str) -> None:
        """Write a file, all of it or none."""
        ...

    def read(self, trial: str, name: str) -> str:
        """Return the contents of a file."""
        ...

    def entries(self, trial: str) -> Sequence[str]:
        """Return the names of the copies and files of a trial."""
        ...

    def remove(self, trial: str, name: str) -> None:
        """Remove a copy or a file, if it exists."""
        ...

    def trials(self) -> Sequence[str]:
        """Return the names of all trials with copies or files."""
        ...

    def forget(self, trial: str) -> None:
        """Remove everything about a trial."""
        ...
