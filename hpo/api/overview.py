"""All recorded studies at a glance, with their health for monitoring."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hpo.api.lookup import existing_record, record_address
from hpo.api.places import outbox_path
from hpo.errors import InputError
from hpo.record.file import absolute

if TYPE_CHECKING:
    from hpo.record.values import Recorded


def studies(tracking_uri: str | None = None) -> list[dict[str, Any]]:
    """Return a summary of each recorded study, as `hpo list --json` prints it."""
    unread: list[InputError] = []
    found = [
        {**summary, "rounds": len(summary["rounds"])}
        for summary in summaries(record_address(tracking_uri), unread.append)
    ]
    if unread:
        raise unread[0]
    return found


def summaries(
    tracking_uri: str, complain: Callable[[InputError], object]
) -> Iterator[dict[str, Any]]:
    """Yield a summary of each readable study, with its health; complain about the others."""
    from hpo.report.results import summarize

    record = existing_record(tracking_uri)
    for name, _ in record.studies():
        try:
            recorded = record.study(name).read()
        except InputError as error:
            complain(error)
            continue
        if recorded is not None:
            summary = summarize(name, recorded)
            yield {**summary, "health": health(summary, recorded, tracking_uri)}


def health(
    summary: Mapping[str, Any], recorded: "Recorded", tracking_uri: str
) -> dict[str, Any]:
    """Return the health of a study for monitoring, as plain values.

    These are whether a process is running it; the seconds since its last sign of life and since
    the last result, None if there is none; how many results wait to be recorded, and how many were
    set aside because the record refused them. Results are counted in the outbox if it is on this
    machine, and otherwise as the process last reported them.
    """
    from hpo.record.outbox import kept_on_disk

    now, service = time.time(), recorded.service
    path = outbox_path(absolute(tracking_uri), summary["study"])
    if path.exists() or service is None:
        waiting, aside = kept_on_disk(path)
    else:
        waiting, aside = service.waiting, service.aside
    beat = service.beat if service is not None else None
    last = datetime.fromisoformat(summary["last"]).timestamp() if summary["last"] else None
    return {
        "running": service is not None,
        "seconds_since_sign_of_life": None if beat is None else round(max(now - beat, 0.0), 1),
        "seconds_since_last_result": None if last is None else round(max(now - last, 0.0), 1),
        "results_waiting": waiting,
        "results_set_aside": aside,
    }
