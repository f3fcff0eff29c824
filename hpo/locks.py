"""Locks on open files, held until the last process that has the file open is gone."""

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

from hpo.errors import InputError


def take(descriptor: int) -> bool:
    """Lock an open file for this process; return False if another one holds the lock.

    Raises OSError if the file system does not support locks, and InputError if the operating
    system does not.
    """
    if fcntl is None:
        raise InputError("hpo runs on Linux and macOS; on Windows, run it in WSL")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
