"""Limit the threads of linear algebra, and identify its library."""

import contextlib
import sys
from collections.abc import Iterator

import threadpoolctl

_controller: threadpoolctl.ThreadpoolController | None = None
_modules = 0


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit the linear algebra libraries to one thread within a `with` block.

    Results then have the same bits on machines with different numbers of CPUs.
    """
    with threadpoolctl.threadpool_limits(1):
        yield


def limit_threads(threads: int) -> None:
    """Limit the linear algebra libraries of this process to `threads` threads from now on.

    More threads than the trial's share of the CPUs slow the others down, and change the bits.
    """
    global _controller, _modules
    import numpy  # noqa: F401  # only a library that is loaded can be limited

    if _controller is None or len(sys.modules) != _modules:  # finding the libraries takes a while
        _controller, _modules = threadpoolctl.ThreadpoolController(), len(sys.modules)
    _controller.limit(limits=threads)


def blas() -> str:
    """Return NumPy's BLAS and the type of CPU that it selected code for, or "unknown"."""
    for library in threadpoolctl.threadpool_info():
        if library["internal_api"] == "openblas" and "numpy" in library["filepath"]:
            return f"OpenBLAS {library['version']} for {library['architecture']}"
    return "unknown"
