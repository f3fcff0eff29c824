"""Unpack data files as a stream, with a limit on what may come out of them."""

import bz2
import contextlib
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from hpo.data.predictor import listed
from hpo.errors import InputError

COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}  # by ending
_ROOM = 64 << 20  # bytes that any file may unpack to
# A packed byte rarely holds more than ten values of real data, but a thousand zeros. Each value
# takes four bytes in the end, so that it is values that are counted.
_MOST_VALUES = 32  # for each packed byte


def fault(key: str, problem: str) -> InputError:
    """Return the error for a key of [data], one line of printable text."""
    line = " ".join(f"[data] {key}: {problem}".split())
    return InputError("".join(c if c.isprintable() else "\ufffd" for c in line))


def reason(error: BaseException) -> str:
    """Return the message of a foreign error, shortened: it may contain a whole file."""
    text = str(error)
    return f"{type(error).__name__}: {text if len(text) <= 200 else text[:199] + '…'}"


def most_unpacked(packed: int, value_size: int = 1) -> int:
    """Return the most bytes that `packed` bytes may unpack to, with values of `value_size`."""
    return max(_ROOM, _MOST_VALUES * value_size * packed)


def too_much(
    where: str, promised: str, packed: int, way: str = "unpack it and use the unpacked file"
) -> InputError:
    """Return the error for a file that would unpack to far too much."""
    return fault(
        "source",
        f"{where} has {_size(packed)} that unpack to {promised}; if that is correct, {way}",
    )


@contextlib.contextmanager
def unpacked(path: Path, where: str, value_size: int = 1) -> Iterator[BinaryIO]:
    """Open a file to be read once, compressed or not, depending on its extension.

    Raises InputError, also from a read, if it is incomplete, or unpacks to more than
    `most_unpacked`.
    """
    kind = COMPRESSIONS.get(path.suffix.lower())
    with path.open("rb") as file:
        if kind is None:
            yield file
            return
        size = path.stat().st_size
        stream = _Unpacked(file, kind, where, size, most_unpacked(size, value_size))
        with io.BufferedReader(stream) as reader:
            yield cast(BinaryIO, reader)


class _Unpacked(io.RawIOBase):
    """What comes out of a compressed file, with errors of ours."""

    def __init__(self, file: BinaryIO, kind: str, where: str, packed: int, most: int) -> None:
        self._kind, self._where, self._packed, self._most = kind, where, packed, most
        self._count = 0
        with self._errors():
            self._inner = self._opened(file)

    def _opened(self, file: BinaryIO) -> BinaryIO:
        if self._kind == "gzip":
            return cast(BinaryIO, gzip.GzipFile(fileobj=file))
        if self._kind == "bzip2":
            return cast(BinaryIO, bz2.BZ2File(file))
        if self._kind == "xz":
            return cast(BinaryIO, lzma.LZMAFile(file))
        archive = zipfile.ZipFile(file)
        inside = [
            m for m in archive.infolist()
            if not m.is_dir() and not m.filename.startswith("__MACOSX/")
        ]
        if len(inside) != 1:
            held = listed(m.filename for m in inside) or "none"
            raise fault(
                "source",
                f"{self._where} must contain exactly one file, but contains {held}; unpack it, and "
                "use one of its files",
            )
        if inside[0].file_size > self._most:
            raise too_much(self._where, _size(inside[0].file_size), self._packed)
        return cast(BinaryIO, archive.open(inside[0]))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        with self._errors():
            content = self._inner.read(len(view))
        self._count += len(content)
        if self._count > self._most:
            raise too_much(self._where, f"more than {_size(self._most)}", self._packed)
        view[: len(content)] = content
        return len(content)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # of zlib, bz2, lzma and zipfile, which raise many kinds
            raise fault(
                "source",
                f"{self._where} is not a complete {self._kind} file ({reason(error)}); download "
                "it again",
            ) from error


def _size(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count:,} bytes"
