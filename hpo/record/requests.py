"""What people ask of a study while it runs: points to try next, and trials to end.

Each is a tag, written once by whoever asks, and read every few seconds by the process that runs
the study: a point is a tag of the experiment, the end of a trial one of its round.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence

from hpo.distributions import Value
from hpo.errors import InputError
from hpo.record.connection import Connection, translated
from hpo.record.format import PLACED, added_text, read_added
from hpo.record.trials import Parents
from hpo.record.values import Added, Asked
from hpo.text import one_line, shortened

_ADDED = "added."  # with its id, the tag of an experiment with a point
_STOP = "stop."  # with its number, the tag of a round that says to end a trial, and why
ADDED_CHARACTERS = 4900  # MLflow refuses tags of experiments with more than 5,000
REASON_CHARACTERS = 500


class Requests:
    """What people ask of one study."""

    def __init__(self, connection: Connection, parents: Parents) -> None:
        self._connection, self._client, self._parents = connection, connection.client, parents

    def add(self, points: Sequence[Mapping[str, Value]]) -> None:
        """Ask for points to be tried next, in this order; raise InputError if one is too long."""
        moment, who = time.time_ns(), secrets.token_hex(4)
        for count, point in enumerate(points):
            text = added_text(Added(f"{moment + count}-{who}", point))
            if len(text) > ADDED_CHARACTERS:
                raise InputError(
                    f"the point takes {len(text)} characters in the record, which allows at most "
                    f"{ADDED_CHARACTERS}; set fewer hyperparameters"
                )
            translated(lambda text=text, count=count: self._client.set_experiment_tag(  # type: ignore[misc]
                self._parents.experiment_id, f"{_ADDED}{moment + count}-{who}", text
            ))

    def stop(self, round_run: str, number: int, reason: str) -> None:
        """Ask for a trial of a round to be stopped."""
        text = json.dumps([shortened(one_line(reason), REASON_CHARACTERS), time.time_ns()])
        translated(lambda: self._client.set_tag(round_run, f"{_STOP}{number}", text))

    def added(self) -> tuple[Added, ...]:
        """Return all points that were added, oldest first."""
        experiment = translated(
            lambda: self._client.get_experiment(self._parents.experiment_id)
        )
        found = []
        for name, text in sorted(experiment.tags.items()):
            if name.startswith(_ADDED):
                try:
                    found.append(read_added(text))
                except (ValueError, TypeError, LookupError, RecursionError) as error:
                    raise InputError(
                        f"the tag {name!r} of the experiment cannot be read ({error}); delete it "
                        "in MLflow"
                    ) from error
        return tuple(found)

    def asked(self, round_run: str) -> Asked:
        """Return what is asked now, while a round runs; fail at once if the record is away."""
        self._connection.reach()
        tags = translated(lambda: self._client.get_run(round_run)).data.tags
        stops = {}
        for name, text in tags.items():
            number = name.removeprefix(_STOP)
            if number != name and number.isdecimal():
                stops[int(number)] = text
        return Asked(self.added(), stops)

    def place(self, round_run: str, number: int, added: Added) -> None:
        """Record that a trial of a round is a point that was added, before it is sent out."""
        translated(
            lambda: self._client.set_tag(round_run, f"{PLACED}{number}", added_text(added))
        )


def reason_of(text: str) -> str:
    """Return the reason in a request to stop; a tag written by hand is itself the reason."""
    try:
        reason = json.loads(text)[0]
    except (ValueError, TypeError, LookupError, RecursionError):
        return one_line(text)
    return reason if isinstance(reason, str) else one_line(text)
