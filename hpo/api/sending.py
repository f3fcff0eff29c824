"""Studies are sent to a cluster, with what is to be done there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hpo.api.asked_for import set_arguments
from hpo.api.ranges import parse_range, range_texts
from hpo.errors import InputError
from hpo.study_errors import nearest

if TYPE_CHECKING:
    from hpo.cluster import Cluster, Parcel
    from hpo.study import StudyFile

OPTIONS = {  # of each command that a cluster does
    "run": ("rounds", "trials", "ranges", "keep_ranges", "accept_code"),
    "confirm": ("top", "repeats", "resplit", "accept_code"),
    "extend": ("epochs", "top", "accept_code"),
    "evaluate": ("top", "again", "kept"),
}


class Sent(NamedTuple):
    """A job of a cluster, and what it was sent."""

    job: str
    parcel: "Parcel"
    cluster: "Cluster"


def send(
    study: "StudyFile",
    command: str,
    options: Mapping[str, Any],
    also: Sequence[Path],
    address: str | None,
    env_file: Path,
) -> Sent:
    """Send a study and what is to be done with it, and files `also`; return at once.

    Raises InputError where the cluster does not do that, or has no such option for it.
    """
    from hpo.cluster import connect, pack
    from hpo.own_evaluation import refuse_without_evaluate

    arguments = typed(study, command, options)
    if command == "evaluate" and study.data is None:
        refuse_without_evaluate(study, options.get("top", 1))
    parcel = pack(study, also)
    cluster = connect(address, env_file)
    return Sent(cluster.submit(study.name, parcel, arguments), parcel, cluster)


def typed(study: "StudyFile", command: str, options: Mapping[str, Any]) -> list[str]:
    """Return a command and its options, with what overrides the study file, as they are typed."""
    if command not in OPTIONS:
        raise InputError(f"a cluster does not {command!r} a study{nearest(command, OPTIONS)}")
    for name in options:
        if name not in OPTIONS[command]:
            raise InputError(f"{command} has no option {name!r}{nearest(name, OPTIONS[command])}")
    if command == "extend" and "epochs" not in options:
        raise InputError("extend: epochs: is missing; say how many in all")
    arguments = [command]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if name == "ranges":
            for text in range_texts(value) if isinstance(value, Mapping) else value or ():
                parse_range(text, study.search_space)
                arguments += ["--range", text]
        elif value is True:
            arguments.append(option)
        elif value is not None and value is not False:
            arguments += [option, str(value)]
    return [*arguments, *set_arguments(study.overrides)]
