"""Where a study keeps files on this machine: waiting results, and copies of trials."""

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import InputError
from hpo.record.file import path_of
from hpo.text import one_line

if TYPE_CHECKING:
    from hpo.checkpoints.trials import Checkpoints
    from hpo.data.loading import Split
    from hpo.study import StudyFile


def outbox_path(uri: str, study: str) -> Path:
    """Return the outbox of a study, a different one for each record."""
    path = path_of(uri)
    uri = f"sqlite:///{path}" if path else uri  # whatever is escaped in it
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", study)[:40]
    digest = hashlib.sha256(f"{uri}\0{study}".encode()).hexdigest()[:12]
    return Path(os.environ.get("HPO_OUTBOX", ".hpo")) / f"{readable}-{digest}.jsonl"


def checkpoints_of(
    study: "StudyFile", split: "Split | None", outbox: Path, is_remote: bool = False
) -> "Checkpoints | None":
    """Return where copies of trials are kept; None if the study keeps none.

    This is `storage`, else HPO_CHECKPOINTS, else a folder next to the outbox. Remote workers may
    not reach that folder, so the copies are carried to and from them.

    Raises InputError if an object store does not answer.
    """
    if study.checkpoints is None:
        return None
    from hpo.checkpoints.folders import FolderStore
    from hpo.checkpoints.remote import RemoteStore, is_address
    from hpo.checkpoints.trials import Checkpoints
    from hpo.service.comparability import data_digest

    settings = study.checkpoints
    storage = settings.storage or os.environ.get("HPO_CHECKPOINTS", "")
    data = data_digest(study, split.description if split is not None else None)
    context = f"{study.objective.name} {study.objective.code.syntax} {data}"
    if is_address(storage):
        store = RemoteStore(f"{storage.rstrip('/')}/{outbox.stem}")
        try:
            store.trials()
        except (OSError, ValueError) as error:
            raise InputError(
                f"{study.path}: checkpoints.storage: {storage} does not answer "
                f"({one_line(str(error))}); fix it, or choose another place"
            ) from error
        return Checkpoints(store, context, settings.every, settings.keep, is_far=True)
    directory = kept_beside(outbox)
    if storage:
        directory = study.path.absolute().parent / storage / outbox.stem
    return Checkpoints(
        FolderStore(str(directory.absolute())), context, settings.every, settings.keep,
        is_carried=is_remote and not storage,
    )


def kept_beside(outbox: Path) -> Path:
    """Return where copies of trials are kept, unless the study file sets `storage`."""
    return outbox.parent / "checkpoints" / outbox.stem
