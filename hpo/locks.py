"""Locks on open files, which hold until the last process that has them open is gone."""

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

from hpo.errors import InputError


def take(descriptor: int) -> bool:
    """Lock an open file for this process; return False where another one holds the lock.

    Raises OSError where the file system has no locks, and InputError where the system has none.
    """
    if fcntl is None:
        raise InputError("hpo runs on Linux and macOS; on Windows run it inside WSL")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
