"""Copies sent to a distant place while the trial keeps running, from a copy on this machine."""

import contextlib
import tempfile
import threading
from pathlib import Path

from hpo.checkpoints.folders import copied
from hpo.checkpoints.trials import Copies, Snapshot


class CopiesBehind:
    """Wraps other `Copies` and sends them in a thread of its own."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._sending: threading.Thread | None = None
        self._error: OSError | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the last copy is still being sent."""
        return self._sending is not None and self._sending.is_alive()

    def save(self, folder: Path, snapshot: Snapshot) -> None:
        """Copy a folder here and start to send it; raise OSError if the previous copy failed."""
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
        """Wait until the last copy is sent; raise OSError if that failed."""
        if self._sending is not None:
            self._sending.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def restore(self, folder: Path) -> Snapshot | None:
        """Fill an empty folder with the last copy; return its snapshot, None without a copy."""
        return self._copies.restore(folder)

    def forget(self) -> None:
        """Remove all copies, which turned out to be unusable."""
        with contextlib.suppress(OSError):
            self.wait()
        self._copies.forget()
