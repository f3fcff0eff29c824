"""The record as a whole: its studies, and access to one of them by name."""

from collections.abc import Callable, Mapping

from hpo.record import experiments
from hpo.record.connection import PAGE, Connection, pages
from hpo.record.copying import Copying
from hpo.record.owner import Owner
from hpo.record.purging import contents, purge, refuse_purge
from hpo.record.study import StudyRecord
from hpo.record.values import Contents


class Tracking:
    """An MLflow store or server; every call may raise RecordUnavailable.

    Claims are made for `owner`, by default this process.
    """

    def __init__(self, uri: str, owner: Owner | None = None) -> None:
        """Open the record; create it if it does not exist yet."""
        self.uri = uri
        self._connection = Connection(uri)
        self._owner = owner or Owner.this_process()
        self._studies: dict[str, StudyRecord] = {}

    def studies(self) -> list[tuple[str, Mapping[str, str]]]:
        """Return the names and tags of all studies, latest first."""
        client = self._connection.client
        found = pages(
            lambda token: client.search_experiments(
                filter_string="tags.hpo = 'study'", max_results=PAGE, page_token=token
            )
        )
        return [(experiment.name, experiment.tags) for experiment in found]

    def study(self, name: str) -> StudyRecord:
        """Return the record of a study, whether or not it exists yet; the same one each time."""
        if name not in self._studies:
            self._studies[name] = StudyRecord(self._connection, name, self._owner)
        return self._studies[name]

    def refuse_foreign(self, name: str) -> None:
        """Raise InputError if the experiment with this name is not an hpo study."""
        experiments.refuse_foreign(self._connection, name)

    def rename(self, study: str, new: str) -> None:
        """Rename a study; raise InputError if the new name is taken."""
        experiments.rename(self._connection, study, new)
        self._studies.clear()

    def copy(self, study: str, new: str, show: Callable[[int, int], None]) -> None:
        """Copy a study that this process has claimed to another name.

        If interrupted, it leaves no study with that name, and the same call starts over. `show` is
        called with the number of runs done and their total. Raises InputError if the name is taken.
        """
        source = experiments.existing(self._connection, study)
        Copying(self._connection, source, self._owner, self.study(study).keep).make(new, show)

    def contents(self, name: str) -> Contents | None:
        """Return how much a study holds, even a deleted one; None if there is none.

        Raises InputError if the experiment is not an hpo study, or is being copied.
        """
        return contents(self._connection, name, self._owner)

    def delete(self, name: str) -> None:
        """Delete a study, so that MLflow can restore it."""
        experiments.delete(self._connection, self._experiment_id(name))
        self._studies.clear()

    def refuse_purge(self, name: str) -> None:
        """Raise InputError if a study cannot be permanently deleted, or should not be."""
        refuse_purge(self._connection, experiments.existing(self._connection, name))

    def purge(self, name: str, show: Callable[[int, int], None]) -> None:
        """Permanently delete the rows and files of a deleted study.

        If interrupted, the same call continues. `show` is called with the number of runs done and
        their total.
        """
        purge(self._connection, self._experiment_id(name), show)

    def _experiment_id(self, name: str) -> str:
        return experiments.existing(self._connection, name).experiment_id

    def prepare(self) -> None:
        """Do nothing: in this process, importing MLflow early saves no time."""

    def close(self) -> None:
        """Close the record, leaving its file complete by itself."""
        self._connection.close()
