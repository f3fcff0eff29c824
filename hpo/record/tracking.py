"""The record as a whole: which studies there are, and one of them by its name."""

from collections.abc import Mapping

from hpo.record.connection import PAGE, Connection, pages
from hpo.record.owner import Owner
from hpo.record.study import StudyRecord


class Tracking:
    """An MLflow store or server; every call may raise RecordUnavailable.

    Claims are made for `owner`, by default this process.
    """

    def __init__(self, uri: str, owner: Owner | None = None) -> None:
        """Open the record; one that is not there yet is made."""
        self.uri = uri
        self._connection = Connection(uri)
        self._owner = owner or Owner.this_process()
        self._studies: dict[str, StudyRecord] = {}

    def studies(self) -> list[tuple[str, Mapping[str, str]]]:
        """Return the names and tags of all studies, latest first."""
        client = self._connection.client
        experiments = pages(
            lambda token: client.search_experiments(
                filter_string="tags.hpo = 'study'", max_results=PAGE, page_token=token
            )
        )
        return [(experiment.name, experiment.tags) for experiment in experiments]

    def study(self, name: str) -> StudyRecord:
        """Return the record of a study, whether it is there yet or not; the same one each time."""
        if name not in self._studies:
            self._studies[name] = StudyRecord(self._connection, name, self._owner)
        return self._studies[name]

    def close(self) -> None:
        """Leave a record whose file alone is complete."""
        self._connection.close()
