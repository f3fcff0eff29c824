"""Copies that go to a place far away while the trial goes on, from a copy on this machine."""

import contextlib
import tempfile
import threading
from pathlib import Path

from hpo.checkpoints.folders import copied
from hpo.checkpoints.trials import Copies, Snapshot


class CopiesBehind:
    """Does what other copies do, but sends them in a thread of its own; they are `Copies`."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._sending: threading.Thread | None = None
        self._error: OSError | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the last copy is still on its way."""
        return self._sending is not None and self._sending.is_alive()

    def save(self, folder: Path, snapshot: Snapshot) -> None:
        """Copy a folder here, and have that sent; raise OSError where the one before failed."""
        self.wait()
        if not any(folder.iterdir()):
            return
        here = tempfile.TemporaryDirectory()
        try:
            copied(folder, Path(here.name))
        except BaseException:
            here.cleanup()
            raise

        def send() -> None:
            try:
                with here:
                    self._copies.save(Path(here.name), snapshot)
            except OSError as error:
                self._error = error

        self._sending = threading.Thread(target=send, name="checkpoint", daemon=True)
        self._sending.start()

    def wait(self) -> None:
        """Return once the last copy was sent; raise OSError where it was not."""
        if self._sending is not None:
            self._sending.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def restore(self, folder: Path) -> Snapshot | None:
        """Fill an empty folder with the last copy; return what goes with it, None without one."""
        return self._copies.restore(folder)

    def forget(self) -> None:
        """Remove all copies, since they turned out to be of no use."""
        with contextlib.suppress(OSError):
            self.wait()
        self._copies.forget()
