"""A folder as one stream of bytes: a tar file of its contents."""

import io
import os
import stat
import tarfile
import zlib
from pathlib import Path
from typing import IO, BinaryIO

from hpo.checkpoints.folders import walked, write_checked
from hpo.checkpoints.store import Content


def pack(folder: Path, file: BinaryIO) -> Content:
    """Write the contents of a folder to a file; return what they are, as a `Store` does.

    Sockets, pipes and devices are skipped, and so is a file that disappears meanwhile.
    """
    content: Content = {}
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as packed:
        for path in sorted(walked(folder)):
            name = str(path.relative_to(folder))
            try:
                mode = path.lstat().st_mode
                opened = path.open("rb") if stat.S_ISREG(mode) else None
            except FileNotFoundError:
                continue  # it disappeared meanwhile
            entry = tarfile.TarInfo(name)
            entry.mode = stat.S_IMODE(mode)
            if stat.S_ISLNK(mode):
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
                content[name] = entry.linkname
                packed.addfile(entry)
            elif stat.S_ISDIR(mode):
                entry.type = tarfile.DIRTYPE
                content[name] = None
                packed.addfile(entry)
            elif opened is not None:
                with opened:
                    entry.size = os.fstat(opened.fileno()).st_size
                    read = _Checked(opened)
                    packed.addfile(entry, read)
                content[name] = [entry.size, read.checksum]
    return content


def unpack(file: IO[bytes], folder: Path) -> Content:
    """Fill an empty folder with packed contents; return what they are.

    Raises ValueError if the file is not such a tar file, or a name points outside the folder.
    """
    content: Content = {}
    try:
        with tarfile.open(fileobj=file, mode="r|") as packed:
            for entry in packed:
                path = folder / entry.name
                if Path(entry.name).is_absolute() or ".." in Path(entry.name).parts:
                    raise ValueError(f"{entry.name!r} points outside the folder")
                if any(parent.is_symlink() for parent in path.parents if parent != folder):
                    raise ValueError(f"{entry.name!r} is behind a link")
                if entry.issym():
                    content[entry.name] = entry.linkname
                    path.symlink_to(entry.linkname)
                elif entry.isdir():
                    content[entry.name] = None
                    path.mkdir(mode=0o700)
                elif entry.isfile():
                    source = packed.extractfile(entry)
                    assert source is not None
                    content[entry.name] = write_checked(source, path)
                    path.chmod(entry.mode | stat.S_IRUSR | stat.S_IWUSR)
    except tarfile.TarError as error:
        raise ValueError(str(error)) from error
    return content


class _Checked(io.RawIOBase):
    """A file that is read once, with the checksum of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.checksum = file, 0

    def readable(self) -> bool:
        """Return that the file can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        block = self._file.read(size)
        self.checksum = zlib.crc32(block, self.checksum)
        return block
