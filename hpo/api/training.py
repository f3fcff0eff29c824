"""Everything that trains: rounds, repeats, extensions, and evaluations."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hpo.api.lookup import existing_record, find, require_file
from hpo.api.pictures import renew_page
from hpo.api.places import checkpoints_of, outbox_path
from hpo.api.session import Session, load_data, open_session
from hpo.api.site import Site
from hpo.errors import InputError
from hpo.record.file import absolute

# What takes long to import is imported where it is used.
if TYPE_CHECKING:
    from hpo.data.loading import Description
    from hpo.evaluation import Evaluation
    from hpo.own_evaluation import OwnEvaluation
    from hpo.record.sources import Source
    from hpo.record.study import StudyRecord
    from hpo.record.values import Recorded, Round
    from hpo.retraining import Listener
    from hpo.search.confirmation import Confirmation
    from hpo.service.rounds import Goal
    from hpo.study import StudyFile
    from hpo.study_tables import ConfirmSettings


class Outcome(NamedTuple):
    """What is recorded of a study at the end, and whether anything had to run."""

    recorded: "Recorded"
    ran: bool


def run(study: "StudyFile", goal: "Goal", site: Site) -> Outcome:
    """Run or resume a study until it has all its rounds and repeats."""
    with open_session(study, site) as session:
        ran = run_rounds(session, study, goal)
        recorded = session.recorded
        if ran or recorded is None:
            recorded = session.read()
        return Outcome(recorded, ran)


def run_rounds(session: Session, study: "StudyFile", goal: "Goal") -> bool:
    """Run the missing rounds and repeats of a study; return whether there were any."""
    from hpo.trial import State

    goal = replace(goal, sources=_sources(session, study))
    ran = session.rounds.run(goal, session.recorded)
    if study.confirm is not None:
        recorded = session.read()
        complete = any(r.state is State.COMPLETE for r in recorded.results)
        if complete and session.following.confirm(
            study.confirm, recorded, accept_code=goal.accept_code
        ):
            ran = True
            renew_page(session.record, session.display.note)
    if ran and session.notifying is not None:
        session.notifying.study_ended(session.read())
    return ran


def _sources(session: Session, study: "StudyFile") -> "Sequence[Source]":
    """Return the trials that a new study starts with; note which they are, or that it is too late.

    They are recorded, so later changes of the study file have no effect.
    """
    from hpo.service import warm_start
    from hpo.service.remarks import told_of_source

    recorded, note = session.recorded, session.display.note
    if recorded is not None and recorded.rounds and not recorded.is_half_begun:
        named = study.warm_start.sources if study.warm_start is not None else ()
        if named != tuple(source.name for source in recorded.sources):
            note("[warm_start] was read when round 1 started; changing it now has no effect")
        return ()
    sources = warm_start.gather(
        study, lambda name: session.whole.study(name).read(), session.data
    )
    for source in sources:
        note(f"the search starts with {told_of_source(source)}")
    if sources and study.round.sampler != "tpe":
        note(f"[warm_start]: the sampler {study.round.sampler} does not learn from earlier trials, "
             "so only narrowing uses them")
    return sources


def confirm(
    study: "StudyFile", settings: "ConfirmSettings", accept_code: bool, site: Site
) -> "list[Confirmation]":
    """Repeat the best trials of a study; return them, ranked by their means."""
    from hpo.service.following import ranking

    require_file(absolute(site.tracking_uri))
    with open_session(study, site) as session:
        recorded = find(session.whole, study.name)
        if not session.following.confirm(settings, recorded, accept_code=accept_code):
            session.display.note("all repeats are done, nothing to run")
        else:
            renew_page(session.record, session.display.note)
        if not settings.resplit and any(r.trial.resplit for r in recorded.repeats):
            session.display.note(
                "show, evaluate, and narrow use the repeats with new validation rows (resplit)"
            )
        return ranking(study, settings, session.read())


def extend(
    study: "StudyFile", top: int, epochs: int, accept_code: bool, site: Site
) -> "Recorded":
    """Train the best trials of a study for more epochs; return what is recorded then."""
    require_file(absolute(site.tracking_uri))
    with open_session(study, site) as session:
        recorded = find(session.whole, study.name)
        if not session.following.extend(top, epochs, recorded, accept_code=accept_code):
            session.display.note("all extensions are done, nothing to run")
        else:
            renew_page(session.record, session.display.note)
        return session.read()


def evaluate(
    study: "StudyFile",
    top: int,
    again: bool,
    kept: bool,
    accept_code: bool,
    tracking_uri: str,
    listener: "Listener",
) -> "Evaluation | OwnEvaluation":
    """Score the `top` trials of a study on the test set, and record that it is spent.

    `again` allows another look; with `kept`, the models are the copies that were kept. With
    `accept_code`, the objective may have different code than the last round.
    """
    from hpo import evaluation, own_evaluation
    from hpo.record.values import last_round

    record = existing_record(tracking_uri)
    name, recorded = study.name, find(record, study.name)
    last = last_round(name, recorded)
    evaluation.refuse_repetition(study, recorded, again)
    split = load_data(study)
    if split is None:
        own_evaluation.refuse_without_evaluate(study, top)
    copies = None
    if kept:
        copies = checkpoints_of(study, split, outbox_path(absolute(tracking_uri), name))
        if copies is None:
            raise InputError(
                f"{study.path}: --kept (in Python: kept=True) needs a table [checkpoints], which "
                "keeps copies of the best trials; drop --kept"
            )
    description = None if split is None else split.description
    _before_evaluation(study, last, recorded, description, accept_code, listener)
    evaluation.best(study, recorded, top)  # refused before anything is recorded
    _accept_code(study, last, recorded, record.study(name), listener)
    request = evaluation.Request(top, again, copies)
    result: Evaluation | OwnEvaluation
    if split is None:
        result = own_evaluation.evaluate(study, recorded, record.study(name), listener, request)
    else:
        result = evaluation.evaluate(
            study, split, recorded, record.study(name), listener, request
        )
    renew_page(record.study(name), listener.note)
    return result


def _before_evaluation(
    study: "StudyFile",
    last: "Round",
    recorded: "Recorded",
    data: "Description | None",
    accept_code: bool,
    listener: "Listener",
) -> None:
    """Refuse a study that has changed; note what to know before its test set is spent."""
    from hpo.search import confirmation
    from hpo.service import comparability, proposals

    note = listener.note
    for text in data.notes if data is not None else ():
        note(text)
    comparability.refuse_changes(study, last, data, note, accept_code=accept_code)
    if not last.ended:
        note(f"round {last.number} has not ended: evaluating the best of its trials so far")
    better = confirmation.unconfirmed_best(recorded.results, recorded.repeats, study.direction)
    if better:
        note(better)
    recommended = proposals.recommendation(recorded)
    if recommended is not None and recommended.differs:
        note(f"recommended: {recommended}")


def _accept_code(
    study: "StudyFile",
    last: "Round",
    recorded: "Recorded",
    record: "StudyRecord",
    listener: "Listener",
) -> None:
    """Record with the last round that the code is new; if it did not change, do nothing.

    Raises InputError if another process runs the study: its trials have the old code.
    """
    from hpo.service import comparability, remarks

    accepted = comparability.new_code(study, last)
    if accepted is None:
        return
    record.read()  # so that it knows the rounds
    record.claim(listener.note)
    try:
        remark = remarks.of_accepted_code(accepted, last, recorded)
        record.accept_code(last.run_id, accepted, remark)
    finally:
        record.release()
    listener.note(remarks.told_of_accepted_code(accepted))
