"""The descriptions of a study and its rounds in the record, for people who read them there."""

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
    """Return what the description of a round says about accepted code.

    Without `within`, it is the description of the round that begins with that code.
    """
    if within is None or recorded is None:
        return (
            f"The code of the objective changed after round {accepted.since} and was accepted "
            "(`--accept-code`): the trials of this round ran the new code; the earlier trials, "
            "which inform it, ran the old code."
        )
    trials = sum(r.trial.round == within.number for r in recorded.results)
    when = "after this round" if within.ended else f"in this round, after {trials} of its trials,"
    return f"The code of the objective changed {when} and was accepted (`--accept-code`)."


def told_of_accepted_code(accepted: AcceptedCode) -> str:
    """Return the line that a command prints about accepted code."""
    return (
        f"the code of the objective changed since round {accepted.since} and was accepted; all "
        "earlier trials still inform the search"
    )


def of_overrides(overrides: Sequence[str]) -> str:
    """Return what the description of a round says about overrides of its study file."""
    given = ", ".join(f"`{one_line(text)}`" for text in overrides)
    return f"`--set` replaced values of the study file: {given}."


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
    """Return what the description of the first round says about a warm start."""
    return f"The search started with {told_of_source(source)}."


def told_of_source(source: Source) -> str:
    """Return one line about which trials of a source are used, and which are ignored."""
    line = f"{wording.count(len(source.results), 'trial')} of {source.name!r}"
    if not source.is_comparable:
        line += ", of which only the ranking counts"
    if source.left_out:
        some = " and ".join(f"{count} {reason}" for reason, count in source.left_out)
        line += f" (ignored: {some})"
    return line


def of_parallel(study: StudyFile, slots: int) -> list[str]:
    """Return lines if a chosen `parallel` leaves workers idle or makes proposals worse."""
    if "parallel" not in study.round.model_fields_set:
        return []  # nobody chose it
    parallel, trials = study.round.parallel, study.round.trials
    lines = []
    if parallel * study.trial.parts < slots:
        idle = slots - parallel * study.trial.parts
        lines.append(
            f"[round] parallel = {parallel} leaves {idle} of {slots} workers idle; "
            "twice the number of workers is a good choice"
        )
    if study.round.sampler == "tpe" and parallel > max(trials / 4, 1) and trials > 1:
        few = f"the first {parallel} of {trials}" if parallel < trials else f"all {trials}"
        lines.append(
            f"[round] parallel = {parallel}: {few} trials of a round are proposed before there is "
            "a result to learn from; a smaller number learns more"
        )
    return lines
