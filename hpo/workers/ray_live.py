"""Progress during an epoch, sent through the key-value store of Ray's head.

The generator of a task cannot yield anything while the trial occupies its thread. The store is a
private interface of Ray: without it, nothing is reported during an epoch.
"""

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hpo.trial import Progress, Trial
from hpo.workers.ray_draining import is_draining

_NAMESPACE = b"hpo"


def _store() -> Any:
    """Return the functions of the store; raise ImportError if Ray has none."""
    from ray.experimental import internal_kv

    return internal_kv


class Sender:
    """Sends the progress of one attempt at a trial, each time only after the last was received."""

    def __init__(self, box: str) -> None:
        self._box, self._sent = box, 0

    def __call__(self, progress: Progress) -> bool:
        """Send progress; return False if the previous one has not been received yet."""
        store = _store()
        if self._sent and store._internal_kv_exists(self._key(), namespace=_NAMESPACE):
            return False
        self._sent += 1
        text = json.dumps(
            [progress.started, progress.place, list(map(dict, progress.metrics)), progress.output]
        )
        store._internal_kv_put(self._key(), text.encode(), namespace=_NAMESPACE)
        return True

    def forget(self) -> None:
        """Delete progress that was not received."""
        _store()._internal_kv_del(self._key(), namespace=_NAMESPACE)

    def is_leaving(self) -> bool:
        """Return whether the machine of the trial is about to go away."""
        return is_draining()

    def _key(self) -> bytes:
        return f"{self._box}/{self._sent}".encode()


@dataclass(frozen=True)
class Letter:
    """The content of a box: the output and epochs of a trial at one moment."""

    started: float
    place: str
    metrics: list[dict[str, float]]
    output: str

    def progress(self, trial: Trial, attempt: int) -> Progress:
        """Return the content as the progress of an attempt at a trial."""
        return Progress(
            trial, attempt, self.started, self.place, tuple(self.metrics), self.output
        )


class Boxes:
    """The boxes of one process that sends trials out, one for each attempt."""

    def __init__(self) -> None:
        self._name, self._count = f"output/{secrets.token_hex(8)}", 0

    def new(self) -> str:
        """Return the name of an empty box."""
        self._count += 1
        return f"{self._name}/{self._count}"

    def taken(self) -> Iterator[tuple[str, Letter]]:
        """Empty all boxes; yield the name of each and its content."""
        with contextlib.suppress(ImportError, AttributeError):
            store = _store()
            for key in store._internal_kv_list(self._name.encode(), namespace=_NAMESPACE):
                content = store._internal_kv_get(key, namespace=_NAMESPACE)
                store._internal_kv_del(key, namespace=_NAMESPACE)
                if content is not None:
                    yield key.decode().rpartition("/")[0], Letter(*json.loads(content))

    def empty(self, box: str) -> None:
        """Discard the content of a box."""
        with contextlib.suppress(ImportError, AttributeError):
            _store()._internal_kv_del(
                f"{box}/".encode(), del_by_prefix=True, namespace=_NAMESPACE
            )
