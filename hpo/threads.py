"""How many threads linear algebra gets, and by which library it is done."""

import contextlib
import sys
from collections.abc import Iterator

import threadpoolctl

_controller: threadpoolctl.ThreadpoolController | None = None
_modules = 0


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Give the linear algebra libraries one thread meanwhile, so that the bits do not depend on it.

    What runs on many machines has to come out the same on each.
    """
    with threadpoolctl.threadpool_limits(1):
        yield


def limit_threads(threads: int) -> None:
    """Give the linear algebra libraries of this process so many threads from now on.

    More threads than the trial's share of the CPUs slow the others down, and change the bits.
    """
    global _controller, _modules
    import numpy  # noqa: F401  # only a library that is loaded can be limited

    if _controller is None or len(sys.modules) != _modules:  # finding the libraries takes a while
        _controller, _modules = threadpoolctl.ThreadpoolController(), len(sys.modules)
    _controller.limit(limits=threads)


def blas() -> str:
    """Return NumPy's BLAS and the kind of CPU that it picked its code for, or "unknown"."""
    for library in threadpoolctl.threadpool_info():
        if library["internal_api"] == "openblas" and "numpy" in library["filepath"]:
            return f"OpenBLAS {library['version']} for {library['architecture']}"
    return "unknown"
