"""Download a file once, into a cache that later studies read."""

import hashlib
import os
import shutil
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from hpo.cache import cache
from hpo.data.files import fault

_TIMEOUT = 30.0  # seconds without an answer


def is_address(source: str) -> bool:
    """Return whether a source is an https or http address."""
    return source.lower().startswith(("https://", "http://"))


def fetch(address: str) -> Path:
    """Return the file of an address, downloaded unless the cache has it.

    Raises InputError if that fails, or if the address contains a password.
    """
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise fault("source", f"{address!r} is not a valid address: {error}; fix it") from error
    name = PurePosixPath(unquote(parts.path)).name
    if parts.username is not None or parts.password is not None:
        raise fault("source", "the address contains a password, which would be recorded; remove it")
    if not parts.hostname or not name or "\0" in name:
        raise fault("source", f"{address!r} does not name a file; end it with one, for example "
                              "/wine.csv")
    folder = cache() / hashlib.sha256(address.encode()).hexdigest()[:16]
    path = folder / name
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(address, timeout=_TIMEOUT) as answer,
            tempfile.NamedTemporaryFile(dir=folder, delete=False) as file,
        ):
            try:
                shutil.copyfileobj(answer, file)
                file.flush()
                promised = answer.headers["Content-Length"]
                if promised is not None and file.tell() != int(promised):
                    raise OSError(f"received {file.tell()} of {promised} bytes")
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except (OSError, HTTPException, ValueError) as error:
        raise fault(
            "source",
            f"{address!r} cannot be downloaded ({error}); check the network, or download the file "
            "yourself and set its path",
        ) from error
    return path
