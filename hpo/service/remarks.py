"""What a study and its rounds say of themselves on record, for whoever reads it there."""

from collections.abc import Sequence

from hpo import wording
from hpo.objective_code import known_as
from hpo.record.sources import Source
from hpo.record.values import AcceptedCode, Recorded, Round
from hpo.study import StudyFile
from hpo.text import one_line


def of_accepted_code(
    accepted: AcceptedCode, within: Round | None = None, recorded: Recorded | None = None
) -> str:
    """Return what the description of a round says of code that was accepted.

    Without `within` it is that of the round which begins with it.
    """
    if within is None or recorded is None:
        return (
            f"The code of the objective changed after round {accepted.since} and was accepted "
            "(`--accept-code`): the trials of this round have the new code, and the trials before "
            "it, which inform it, have not."
        )
    trials = sum(r.trial.round == within.number for r in recorded.results)
    when = "after this round" if within.ended else f"in this round, after {trials} of its trials,"
    return f"The code of the objective changed {when} and was accepted (`--accept-code`)."


def of_overrides(overrides: Sequence[str]) -> str:
    """Return what the description of a round says of what replaces values of its file."""
    given = ", ".join(f"`{one_line(text)}`" for text in overrides)
    return f"In place of what the study file says, `--set` gave {given}."


def of_study(study: StudyFile) -> str:
    """Return the description of a study."""
    text = (
        f"A study of `{known_as(study.objective.name)}`: {study.direction} `{study.metric}`. "
        "Each top-level run is a round of trials in fixed ranges; each run under it is a trial."
    )
    if study.trial.parts > 1:
        kind = "folds" if study.trial.folds else "seeds"
        text += (
            f" The value of a trial is the mean of {study.trial.parts} {kind}, which are the runs "
            "under it."
        )
    return text


def of_source(source: Source) -> str:
    """Return what the description of the first round says of trials that it was begun with."""
    return f"The search began with {told_of_source(source)}."


def told_of_source(source: Source) -> str:
    """Return in a line what was taken from a source, and what was not."""
    line = f"{wording.count(len(source.results), 'trial')} of {source.name!r}"
    if not source.is_comparable:
        line += ", of which only the order counts"
    if source.left_out:
        some = " and ".join(f"{count} {reason}" for reason, count in source.left_out)
        line += f" (left out: {some})"
    return line


def of_parallel(study: StudyFile, slots: int) -> list[str]:
    """Return what of a chosen `parallel` leaves workers idle, or makes proposals worse."""
    if "parallel" not in study.round.model_fields_set:
        return []  # nobody chose it
    parallel, trials = study.round.parallel, study.round.trials
    lines = []
    if parallel * study.trial.parts < slots:
        idle = slots - parallel * study.trial.parts
        lines.append(
            f"[round] parallel = {parallel} leaves {idle} of {slots} workers idle; "
            "twice the workers is a good number"
        )
    if study.round.sampler == "tpe" and parallel > max(trials / 4, 1):
        few = f"the first {parallel} of {trials}" if parallel < trials else f"all {trials}"
        lines.append(
            f"[round] parallel = {parallel}: {few} trials of a round are proposed before it has a "
            "result to learn from; a smaller number learns more"
        )
    return lines
