"""Send studies to a cluster, with a command to run there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hpo.api.asked_for import set_arguments
from hpo.api.ranges import OPTION, parse_range, range_texts
from hpo.errors import InputError
from hpo.study_errors import nearest

if TYPE_CHECKING:
    from hpo.cluster import Cluster, Parcel
    from hpo.study import StudyFile

OPTIONS = {  # of each command that a cluster does
    "run": ("rounds", "trials", "ranges", "keep_ranges", "accept_code"),
    "confirm": ("top", "repeats", "resplit", "accept_code"),
    "extend": ("epochs", "top", "accept_code"),
    "evaluate": ("top", "again", "kept", "accept_code"),
}


class Sent(NamedTuple):
    """A job on a cluster, and what was sent to it."""

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
    """Send a study, a command to run on it, and the files in `also`; return immediately.

    Raises InputError if the command or one of its options is unknown.
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
    """Return a command, its options, and overrides of the study file as command-line arguments."""
    if command not in OPTIONS:
        raise InputError(f"command: {command!r} cannot be submitted{nearest(command, OPTIONS)}")
    for name in options:
        if name not in OPTIONS[command]:
            raise InputError(f"{command}: unknown option {name!r}{nearest(name, OPTIONS[command])}")
    if command == "extend" and "epochs" not in options:
        raise InputError("extend: epochs: required but missing; set the total number of epochs")
    arguments = [command]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if name == "ranges":
            is_mapping = isinstance(value, Mapping)  # given in Python
            for text in range_texts(value) if is_mapping else value or ():
                parse_range(text, study.search_space, "ranges:" if is_mapping else OPTION)
                arguments += ["--range", text]
        elif value is True:
            arguments.append(option)
        elif value is not None and value is not False:
            arguments += [option, str(value)]
    return [*arguments, *set_arguments(study.overrides)]
