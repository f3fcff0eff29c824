"""The claim of the one process that runs a study."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hpo.errors import HPOError, InputError, RecordRefused
from hpo.record.connection import Connection, translated, translation
from hpo.record.format import ASIDE, HEARTBEAT, RELEASED, WAITING, claims
from hpo.record.owner import Owner
from hpo.record.values import Service

if TYPE_CHECKING:  # MLflow takes a second to import
    from mlflow.entities import Run

HEARTBEAT_STANDS = 30.0  # seconds after which a process elsewhere counts as gone
AT_THE_SAME_MOMENT = (
    "another process started this study at the same moment; run the same command again once it has "
    "ended"
)


class Claim:
    """A param of the first round's run: a param is written once, so one process wins."""

    def __init__(self, connection: Connection, owner: Owner) -> None:
        self._connection, self._client, self._owner = connection, connection.client, owner
        self._held: tuple[str, int] | None = None  # the run with the claim, and its number
        self._told: Mapping[str, int] = {}

    @property
    def is_held(self) -> bool:
        """Return whether this process holds the claim."""
        return self._held is not None

    def take(
        self, experiment_id: str, known: Mapping[int, str], note: Callable[[str], None]
    ) -> None:
        """Become the process that runs the study; `known` are the runs of rounds known here.

        Raises InputError if another process holds the claim and is alive. A process on this machine
        is known to be gone at once, one elsewhere when its heartbeat stops.
        """
        from mlflow.exceptions import MlflowException

        if self._held:
            return
        rounds = list(self._connection.runs(experiment_id, "tags.kind = 'round'"))
        if not rounds:
            return  # deleted meanwhile, all of them: the next one is claimed as it begins
        first = min(rounds, key=lambda run: (int(run.data.tags["round"]), run.info.start_time))
        same = [r for r in rounds if r.data.tags["round"] == first.data.tags["round"]]
        if len(same) > 1:
            mine = known.get(int(first.data.tags["round"]), "")
            if any(claims(r) for r in same if r.info.run_id != mine) and mine:
                self._connection.discard(mine)
            raise InputError(AT_THE_SAME_MOMENT)
        number, owner = max(claims(first).items(), default=(0, None))
        if owner is not None and first.data.tags.get(RELEASED) != str(number):
            self._wait_until_gone(first.info.run_id, owner, note)
        try:
            self._client.log_param(first.info.run_id, f"owner {number + 1}", self.since_now())
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise translation(error) from error
            raise InputError(
                "another process took over this study at the same moment; it continues there"
            ) from error
        self._held = first.info.run_id, number + 1
        self._told = dict.fromkeys((WAITING, ASIDE), -1)  # whatever an earlier process wrote

    def is_taken(self, experiment_id: str) -> bool:
        """Return whether a process that is not known to be gone holds the claim."""
        for run in self._connection.runs(experiment_id, "tags.kind = 'round'"):
            number, owner = max(claims(run).items(), default=(0, None))
            if owner is not None and run.data.tags.get(RELEASED) != str(number):
                return not owner.is_gone()
        return False

    def keep(self, waiting: int, aside: int) -> bool:
        """Update the heartbeat; return False if the claim was deleted with its round.

        With it goes how many results are waiting for the record, and how many were set aside.

        Raises HPOError if another process took over.
        """
        if not self._held:
            return True
        run_id, number = self._held

        def write() -> None:
            self._client.set_tag(run_id, HEARTBEAT, repr(time.time()))
            told = {WAITING: waiting, ASIDE: aside}
            for name, count in told.items():
                if self._told.get(name, 0) != count:
                    self._client.set_tag(run_id, name, str(count))
            self._told = told
            latest, owner = max(claims(self._client.get_run(run_id)).items())
            if latest > number:
                raise HPOError(f"{owner} took over this study; it continues there")

        try:
            translated(write)
        except RecordRefused:
            self._held = None
            return False
        return True

    def release(self) -> None:
        """Give up the claim, so that the next process does not have to wait."""
        if self._held:
            run_id, number = self._held
            self._held = None
            translated(lambda: self._client.set_tag(run_id, RELEASED, str(number)))

    def since_now(self) -> str:
        """Return the owner as it is written to the record, as of now."""
        return replace(self._owner, since=time.time()).to_text()

    def _wait_until_gone(self, run_id: str, owner: Owner, note: Callable[[str], None]) -> None:
        if owner.is_gone():
            return
        refusal = f"{owner} is running this study; wait for it to end, or stop it"
        if owner.host == self._owner.host:
            raise InputError(refusal)
        note(f"{owner} was running this study; waiting {HEARTBEAT_STANDS:.0f} s for a heartbeat")
        before = self._client.get_run(run_id).data.tags.get(HEARTBEAT)
        waited = 0.0
        while waited < HEARTBEAT_STANDS:
            time.sleep(1.0)
            waited += 1.0
            if self._client.get_run(run_id).data.tags.get(HEARTBEAT) != before:
                raise InputError(refusal)


def service_of(run: "Run") -> Service | None:
    """Return the process that runs the study, according to the first round's run, or None."""
    tags = run.data.tags
    number, owner = max(claims(run).items(), default=(0, None))
    if owner is None or tags.get(RELEASED) == str(number) or owner.is_gone():
        return None
    try:
        beat = float(tags[HEARTBEAT]) if HEARTBEAT in tags else None
        return Service(owner, beat, int(tags.get(WAITING, 0)), int(tags.get(ASIDE, 0)))
    except ValueError:  # somebody edited them, and a claim counts without
        return Service(owner)
