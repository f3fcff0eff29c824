"""What workers need to know about a study, as one value that is sent to them."""

from hpo.checkpoints.trials import Checkpoints
from hpo.study import StudyFile
from hpo.workers.attempt import Job


def job_of(study: StudyFile, checkpoints: Checkpoints | None = None) -> Job:
    """Return what workers need to know about a study, and where they keep copies of its trials."""
    return Job(
        objective=study.objective.name,
        metric=study.metric,
        direction=study.direction,
        value=study.value,
        fixed=study.fixed,
        limits=study.constraint_metrics,
        search_path=study.search_path(),
        demand=study.resources.demand(),
        trial_timeout=study.round.trial_timeout,
        fresh_process=study.round.fresh_process,
        code=study.objective.code,
        program=study.program,
        checkpoints=checkpoints,
    )
