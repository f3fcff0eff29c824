"""Copies of folders in an object store, such as S3 or Google Cloud Storage, through pyarrow.

Credentials come from the environment variables that the tools of these stores use.
"""

import posixpath
import re
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.checkpoints.packing import pack, unpack
from hpo.checkpoints.store import Content

if TYPE_CHECKING:  # it takes a moment to import
    from pyarrow.fs import FileSystem

SCHEMES = ("s3", "gs", "file")
_BLOCK = 1 << 20  # bytes that are sent at a time
_AHEAD = 8 << 20  # and that are asked for at a time
_COPY = ".tar"


def is_address(storage: str) -> bool:
    """Return whether a place is an address rather than a folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", storage) is not None


def fault(address: str) -> str:
    """Return what is wrong with an address, or ""."""
    scheme, _, place = address.partition("://")
    if scheme not in SCHEMES:
        *first, last = (f"{scheme}://" for scheme in SCHEMES)
        known = f"{', '.join(first)} or {last}"
        return f"is not a supported address; use a folder, or an address that starts with {known}"
    if "@" in place.partition("/")[0]:
        return "contains a password; put it in the environment, e.g. in AWS_SECRET_ACCESS_KEY"
    if not place.strip("/"):
        example = "/shared/folder" if scheme == "file" else "bucket/folder"
        return f"has no path; add one, for example {scheme}://{example}"
    return ""


@dataclass(frozen=True)
class RemoteStore:
    """A folder of an object store; a `Store`."""

    address: str

    @cached_property
    def _files(self) -> "tuple[FileSystem, str]":
        from pyarrow.fs import FileSystem

        found, path = FileSystem.from_uri(self.address)
        return found, path.rstrip("/")

    def put(self, trial: str, copy: str, folder: Path) -> Content:
        """Copy the contents of a folder; return what they are."""
        with tempfile.TemporaryFile() as packed:
            content = pack(folder, packed)
            packed.seek(0)
            files, path = self._made(trial)
            with files.open_output_stream(f"{path}/{copy}{_COPY}") as sent:
                while block := packed.read(_BLOCK):
                    sent.write(block)
        return content

    def get(self, trial: str, copy: str, folder: Path) -> Content:
        """Copy a copy back to an empty folder; return its contents."""
        files, path = self._files
        source = f"{path}/{trial}/{copy}{_COPY}"
        with files.open_input_stream(source, buffer_size=_AHEAD) as received:
            return unpack(received, folder)

    def write(self, trial: str, name: str, text: str) -> None:
        """Write a file, all of it or none."""
        files, path = self._made(trial)
        if files.type_name == "local":
            with files.open_output_stream(f"{path}/{name}.part") as sent:
                sent.write(text.encode())
            files.move(f"{path}/{name}.part", f"{path}/{name}")
            return
        with files.open_output_stream(f"{path}/{name}") as sent:  # there once it is closed
            sent.write(text.encode())

    def read(self, trial: str, name: str) -> str:
        """Return the contents of a file."""
        files, path = self._files
        with files.open_input_stream(f"{path}/{trial}/{name}") as received:
            content: bytes = received.read()
        return content.decode()

    def entries(self, trial: str) -> list[str]:
        """Return the names of the copies and files of a trial."""
        return [name.removesuffix(_COPY) for name in self._listed(f"/{trial}")]

    def remove(self, trial: str, name: str) -> None:
        """Remove a copy or a file, if it exists."""
        files, path = self._files
        for known in self._listed(f"/{trial}"):
            if known in (name, f"{name}{_COPY}"):
                files.delete_file(f"{path}/{trial}/{known}")

    def trials(self) -> list[str]:
        """Return the names of all trials with copies or files."""
        return self._listed("")

    def forget(self, trial: str) -> None:
        """Remove everything about a trial."""
        files, path = self._files
        if self._listed(f"/{trial}"):
            files.delete_dir(f"{path}/{trial}")

    def _made(self, trial: str) -> "tuple[FileSystem, str]":
        """Return where the copies of a trial go."""
        files, path = self._files
        if files.type_name == "local":  # others have no folders
            files.create_dir(f"{path}/{trial}", recursive=True)
        return files, f"{path}/{trial}"

    def _listed(self, below: str) -> list[str]:
        from pyarrow.fs import FileSelector

        files, path = self._files
        found = files.get_file_info(FileSelector(f"{path}{below}", allow_not_found=True))
        return [posixpath.basename(entry.path) for entry in found]
