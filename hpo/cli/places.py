"""Where a study keeps its things on this machine: results that wait, and copies of trials."""

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.record.file import path_of

if TYPE_CHECKING:
    from hpo.checkpoints import Checkpoints
    from hpo.data.loading import Split
    from hpo.study import Study


def outbox_path(uri: str, study: str) -> Path:
    """Return the outbox of a study, a different one for each record."""
    path = path_of(uri)
    uri = f"sqlite:///{path}" if path else uri  # whatever is escaped in it
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", study)[:40]
    digest = hashlib.sha256(f"{uri}\0{study}".encode()).hexdigest()[:12]
    return Path(os.environ.get("HPO_OUTBOX", ".hpo")) / f"{readable}-{digest}.jsonl"


def checkpoints_of(study: "Study", split: "Split | None", outbox: Path) -> "Checkpoints | None":
    """Return where copies of trials are kept; None where the study asks for none."""
    if study.checkpoints is None:
        return None
    from hpo.checkpoints import Checkpoints
    from hpo.service.comparability import data_digest

    storage = study.checkpoints.storage
    directory = kept_beside(outbox)
    if storage:
        directory = study.path.absolute().parent / storage / outbox.stem
    data = data_digest(study, split.description if split is not None else None)
    context = f"{study.objective.name} {study.objective.code.syntax} {data}"
    return Checkpoints(
        str(directory.absolute()), context, study.checkpoints.every, study.checkpoints.keep
    )


def kept_beside(outbox: Path) -> Path:
    """Return where copies of running trials are kept, unless the study file names a place."""
    return outbox.parent / "checkpoints" / outbox.stem
