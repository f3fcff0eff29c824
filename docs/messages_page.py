"""The page about errors: situations told by hand, then every message of the source."""

import re
from collections.abc import Sequence

from docs.commands_page import wrapped
from docs.messages_found import Message, collected
from docs.situations import SITUATIONS, Situation

_HEAD = """\
# When something goes wrong

Every error is one line: what is wrong, then what to do. Words in capitals stand for names and
numbers of your study. The exit code is 2 if a file or an option has to be changed, and 1 if the
study cannot continue ([exit codes](commands.md#exit-codes)).

The ten most common situations come first, followed by all messages by area. Search the page for
words of your message.
"""
# What to do about a message of an area that says only what is wrong.
_OTHERWISE = {
    "The study file": "Fix the value in the study file",
    "Data": "Fix the data, or change the table `[data]`",
    "The objective": "Fix the objective, then try it with `hpo check FILE --try`",
    "Running a study": "Run the same command again",
    "Points, ranges, and single trials": "`hpo show STUDY` lists rounds and trials",
    "The record": "Check the name, trial, or file; `hpo list` shows the recorded studies",
    "Evaluating and predicting": "Fix the model or the rows that it names",
    "Reports and exports": "Choose another file name",
    "A cluster": "Fix the file or the name, then send the study again",
    "Other commands": "`hpo COMMAND --help` shows the options",
}
# The modules of each area; the longest name that a module begins with counts.
AREAS: dict[str, tuple[str, ...]] = {
    "The study file": (
        "hpo.study", "hpo.constraints", "hpo.feasibility", "hpo.resources", "hpo.search.pruning",
        "hpo.text", "hpo.checkpoints.remote", "hpo.api.values", "hpo.api.study", "hpo.settings",
        "hpo.api.checking", "hpo.distributions", "hpo.search_space",
    ),
    "Data": ("hpo.data",),
    "The objective": (
        "hpo.forms", "hpo.objective", "hpo.program", "hpo.kept_code", "hpo.stale", "hpo.told",
        "hpo.notebook_code", "hpo.rehearsal", "hpo.workers.attempt", "hpo.process_state",
    ),
    "Running a study": (
        "hpo.service", "hpo.search", "hpo.workers", "hpo.checkpoints", "hpo.api", "hpo.locks",
        "hpo.threads", "hpo.display", "hpo.moves", "hpo.parts", "hpo.trial", "hpo.output",
    ),
    "Points, ranges, and single trials": (
        "hpo.api.points", "hpo.api.ranges", "hpo.api.steering", "hpo.api.asked_for",
        "hpo.api.asking", "hpo.workers.asked",
    ),
    "The record": (
        "hpo.record", "hpo.api.lookup", "hpo.api.housekeeping", "hpo.api.overview", "hpo.exported",
        "hpo.api.results", "hpo.api.findings", "hpo.passwords", "hpo.service.warm_start",
    ),
    "Evaluating and predicting": (
        "hpo.evaluation", "hpo.own_evaluation", "hpo.own_models", "hpo.retraining", "hpo.scores",
        "hpo.data.predictor", "hpo.framework_models", "hpo.frameworks", "hpo.record.models",
        "hpo.record.evaluations",
    ),
    "Reports and exports": ("hpo.report", "hpo.cli.looking", "hpo.api.pictures"),
    "A cluster": ("hpo.cluster", "hpo.api.sending", "hpo.workers.ray"),
    "Other commands": ("hpo",),
}


def page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD, *(_situation(number, s) for number, s in enumerate(SITUATIONS, start=1))]
    by_area: dict[str, list[Message]] = {area: [] for area in AREAS}
    for message in collected():
        by_area[area_of(message.module)].append(message)
    parts += [_table(area, messages) for area, messages in by_area.items() if messages]
    return "\n".join(parts)


def area_of(module: str) -> str:
    """Return the area that a module belongs to."""
    _, area = max(
        (len(name), area) for area, names in AREAS.items() for name in names
        if module == name or module.startswith((f"{name}.", f"{name}_"))
    )
    return area


def _situation(number: int, situation: Situation) -> str:
    quotes = "\n".join(f"- {_code(quote.message().text)}" for quote in situation.quotes)
    return (
        f"## {number}. {situation.title}\n\n{quotes}\n\n"
        f"{wrapped(situation.meaning)}\n\n{wrapped('**What to do.** ' + situation.remedy)}\n"
    )


def _table(area: str, messages: Sequence[Message]) -> str:
    rows = [f"## {area}", "", "| Message | What to do |", "|---|---|"]
    asking = []
    remedies = {message.parts: message.has_remedy for message in messages}
    for (fault, remedy), has_one in sorted(remedies.items(), key=lambda item: _sorted_by(item[0])):
        if len(re.findall(r"\b[a-z]{2,}", fault)) < 2:
            continue  # the words of somebody else
        if has_one and not remedy:
            asking.append(f"- {_code(fault)}")
            continue
        said = remedy or _OTHERWISE[area]
        rows.append(f"| {_code(fault)} | {_prose(said[:1].upper() + said[1:])} |")
    if asking:
        rows += ["", "These say themselves what to change:", "", *asking]
    return "\n".join([*rows, ""])


def _sorted_by(parts: tuple[str, str]) -> tuple[str, str]:
    return re.sub(r"\W+", " ", parts[0]).strip().lower(), parts[1]


def _code(text: str) -> str:
    """Return text as code, also in a cell of a table."""
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _prose(text: str) -> str:
    """Return text in a cell of a table, in which nothing is read as Markdown but code."""
    parts = re.split(r"(`[^`]*`)", text.replace("|", "\\|").replace("\n", " "))
    parts[::2] = [re.sub(r"([\[\]<>*_{}])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)
