"""What a trial tells inside an epoch goes by way of the store of Ray's head.

The generator of a task can tell nothing while the trial has its thread. That store is not part of
Ray's public interface: without it nothing is told inside an epoch.
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
    """Return the functions of the store; raise ImportError where Ray has none."""
    from ray.experimental import internal_kv

    return internal_kv


class Sender:
    """Tells of one attempt at a trial: the next only when the one before was taken."""

    def __init__(self, box: str) -> None:
        self._box, self._sent = box, 0

    def __call__(self, progress: Progress) -> bool:
        """Send it; return False where what was sent before lies there still."""
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
        """Take back what was not taken."""
        _store()._internal_kv_del(self._key(), namespace=_NAMESPACE)

    def is_leaving(self) -> bool:
        """Say whether the machine of the trial is about to go."""
        return is_draining()

    def _key(self) -> bytes:
        return f"{self._box}/{self._sent}".encode()


@dataclass(frozen=True)
class Letter:
    """What came from a box: what a trial has printed, and its epochs, at one moment."""

    started: float
    place: str
    metrics: list[dict[str, float]]
    output: str

    def progress(self, trial: Trial, attempt: int) -> Progress:
        """Return what it says of an attempt at a trial."""
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
        """Take what lies in the boxes; yield the name of each and what was in it."""
        with contextlib.suppress(ImportError, AttributeError):
            store = _store()
            for key in store._internal_kv_list(self._name.encode(), namespace=_NAMESPACE):
                content = store._internal_kv_get(key, namespace=_NAMESPACE)
                store._internal_kv_del(key, namespace=_NAMESPACE)
                if content is not None:
                    yield key.decode().rpartition("/")[0], Letter(*json.loads(content))

    def empty(self, box: str) -> None:
        """Throw away what lies in a box."""
        with contextlib.suppress(ImportError, AttributeError):
            _store()._internal_kv_del(
                f"{box}/".encode(), del_by_prefix=True, namespace=_NAMESPACE
            )
