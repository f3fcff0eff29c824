"""The pages made from the code are as the code is, complete, and show errors that are real."""

import re

import pytest

from docs import commands_page, reference
from docs.messages_found import Message, collected, said_in
from docs.messages_page import AREAS, area_of
from docs.situations import SITUATIONS
from docs.study_cases import CASES, EXAMPLE
from docs.study_keys import tables
from docs.study_page import PATH, overrides, said
from hpo.study import parse
from tests.processes import ROOT

KEYS = {key.name: key for table in tables() for key in table.keys}
# How many messages of an area may say only what is wrong, and why so many do.
WITHOUT_REMEDY = {
    "The study file": (2, "what is wrong inside of a constraint, or of a record"),
    "Data": (12, "they name the file and what is wrong in it: the remedy is to fix it"),
    "The objective": (5, "they name what the user's code did"),
    "Running a study": (1, "an error of the user's code, as it is"),
    "Points, ranges, and single trials": (1, "a trial that does not run cannot be stopped"),
    "The record": (17, "what became of a run; the error that holds it says what to do"),
    "Evaluating and predicting": (14, "they name the row and the column, or the user's own error"),
    "Reports and exports": (2, ""),
    "A cluster": (3, "they name the file that is not there"),
    "Other commands": (1, "nothing was deleted, as was asked for"),
}


def test_the_pages_are_not_stale() -> None:
    assert reference.stale() == [], f"run: {reference.COMMAND}"


def test_every_key_has_a_description() -> None:
    for key in KEYS.values():
        assert re.fullmatch(r"\S.*\.", key.description, re.DOTALL), f"{key.name}: describe it"
    for table in tables()[1:]:
        assert table.description.endswith("."), f"{table.header}: describe it"


def test_every_key_has_an_example_and_a_wrong_value() -> None:
    assert CASES.keys() == KEYS.keys(), "add the new keys to docs/study_cases.py"


def test_the_whole_example_is_a_study_file() -> None:
    assert parse(EXAMPLE, PATH).name == "digits"
    # Also with all that is commented out, where one does not rule out the other.
    less_common = re.sub(r"^# (\[?\w)", r"\1", EXAMPLE, flags=re.M)
    without = re.sub(r"^(seeds|target|drop) = .*\n|^\[trial\].*\n", "", less_common,
                     flags=re.M)
    assert len(without.splitlines()) == len(EXAMPLE.splitlines()) - 5
    assert parse(without, PATH).notify is not None


@pytest.mark.parametrize("name", CASES)
def test_an_example_is_right_and_a_wrong_value_is_not(name: str) -> None:
    case = CASES[name]
    parse(case.base, PATH, overrides(name, case.example))
    table = name.strip("[").partition(".")[0].partition("]")[0]
    assert said(name, case).startswith(table)


def test_every_command_option_and_exit_code_is_on_the_page() -> None:
    page = commands_page.page()
    for path, command in commands_page.commands():
        section = page.partition(f"\n## {path}\n")[2].partition("\n## ")[0]
        assert section, path
        for option in (o for p in command.params for o in p.opts if o.startswith("--")):
            assert option in section, f"{path} {option}"
    assert [f"| {code} |" in page for code in (0, 1, 2, 130)] == [True] * 4


def test_the_variables_on_the_page_are_read() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "hpo").rglob("*.py"))
    for name in commands_page.VARIABLES:
        assert f'"{name}"' in sources, name
    read = set(re.findall(r'environ(?:\.get\(|\[)"(HPO_\w+)"', sources))
    assert read <= commands_page.VARIABLES.keys()


def test_areas_name_modules_that_there_are() -> None:
    known = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "hpo").rglob("*.py")
    }
    for name in (name for names in AREAS.values() for name in names):
        assert any(module.startswith(name) for module in known), name
    assert area_of("hpo.workers.ray_folder") == "A cluster"
    assert area_of("hpo.cli.steering") == "Other commands"


def test_the_collection_knows_the_forms_in_which_errors_are_raised() -> None:
    texts = {message.text for message in collected()}
    for module, pattern in (
        ("hpo.study", "no such file"), ("hpo.data.files", "unpack"), ("hpo.cluster", "LOG_COMMAND"),
        ("hpo.resources", "which WHO does not have"), ("hpo.constraints", "comparison"),
        ("hpo.text", "characters"), ("hpo.study_errors", "integer"),
    ):
        found = [m for m in collected() if m.module == module and re.search(pattern, m.text)]
        assert found, f"{module}: {pattern}"
    assert not [text for text in texts if "\n" in text]
    assert len(texts) > 400


def test_a_message_says_what_to_do() -> None:
    lacking: dict[str, list[Message]] = {area: [] for area in AREAS}
    for message in collected():
        if not message.has_remedy:
            lacking[area_of(message.module)].append(message)
    for area, (allowed, why) in WITHOUT_REMEDY.items():
        found = "\n".join(f"{m.module}:{m.line}: {m.text}" for m in lacking[area])
        assert len(lacking[area]) <= allowed, f"{area} has more without a remedy ({why}):\n{found}"
    assert AREAS.keys() == WITHOUT_REMEDY.keys()


def test_what_the_situations_quote_is_in_the_collection() -> None:
    everything = {message.text for message in collected()}
    for situation in SITUATIONS:
        for quote in situation.quotes:
            text = quote.message().text
            assert text in everything | {m.text for m in said_in(quote.module)}
    assert len(SITUATIONS) == 10
