"""Copies of folders in a directory on this machine, or in one that all machines can reach."""

import contextlib
import os
import shutil
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hpo.checkpoints.store import Content

_BLOCK = 1 << 20  # bytes that are copied at a time


@dataclass(frozen=True)
class FolderStore:
    """A directory with one directory for each trial; a `Store`."""

    directory: str

    def put(self, trial: str, copy: str, folder: Path) -> Content:
        """Copy the contents of a folder; return what they are."""
        target = Path(self.directory) / trial
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        return copied(folder, target / copy)

    def get(self, trial: str, copy: str, folder: Path) -> Content:
        """Copy a copy back to an empty folder; return its contents."""
        return copied(Path(self.directory) / trial / copy, folder)

    def write(self, trial: str, name: str, text: str) -> None:
        """Write a file, all of it or none."""
        path = Path(self.directory) / trial / name
        written = path.with_suffix(".part")
        try:
            written.write_text(text, encoding="utf-8")
            os.replace(written, path)
        except BaseException:
            written.unlink(missing_ok=True)
            raise

    def read(self, trial: str, name: str) -> str:
        """Return the contents of a file."""
        return (Path(self.directory) / trial / name).read_text(encoding="utf-8")

    def entries(self, trial: str) -> list[str]:
        """Return the names of the copies and files of a trial."""
        with contextlib.suppress(OSError):
            return os.listdir(Path(self.directory) / trial)
        return []

    def remove(self, trial: str, name: str) -> None:
        """Remove a copy or a file."""
        path = Path(self.directory) / trial / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def trials(self) -> list[str]:
        """Return the names of all trials with copies or files."""
        with contextlib.suppress(OSError):
            return os.listdir(self.directory)
        return []

    def forget(self, trial: str) -> None:
        """Remove everything about a trial."""
        shutil.rmtree(Path(self.directory) / trial, ignore_errors=True)
        with contextlib.suppress(OSError):
            Path(self.directory).rmdir()  # where nothing is left


def empty(folder: Path) -> None:
    """Remove the contents of a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def copied(source: Path, target: Path) -> Content:
    """Copy the contents of a folder; return each path in it with a description.

    That is a file's size and checksum, the target of a link, or None for a folder. Sockets, pipes
    and devices are skipped, and so is a file that disappears meanwhile.
    """
    target.mkdir(mode=0o700, exist_ok=True)
    content: Content = {}
    for path in sorted(walked(source)):
        name, written = str(path.relative_to(source)), target / path.relative_to(source)
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                content[name] = link = str(path.readlink())
                written.symlink_to(link)
            elif stat.S_ISDIR(mode):
                content[name] = None
                written.mkdir(mode=0o700)
            elif stat.S_ISREG(mode):
                content[name] = _copy_file(path, written)
                written.chmod(stat.S_IMODE(mode) | stat.S_IRUSR | stat.S_IWUSR)
        except FileNotFoundError:
            content.pop(name, None)
    return content


def walked(folder: Path) -> Iterator[Path]:
    """Yield everything in a folder, each subfolder before its contents."""
    for root, folders, files in os.walk(folder):
        yield from (Path(root) / name for name in (*folders, *files))


def _copy_file(source: Path, target: Path) -> list[int]:
    with source.open("rb") as read:
        return write_checked(read, target)


def write_checked(source: IO[bytes], target: Path) -> list[int]:
    """Write a file block by block; return its size and its checksum (CRC-32)."""
    size = checksum = 0
    with target.open("wb") as written:
        while block := source.read(_BLOCK):
            written.write(block)
            size, checksum = size + len(block), zlib.crc32(block, checksum)
    return [size, checksum]
