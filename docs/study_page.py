"""The page about study files, made from the models that read them, with errors that they gave."""

from pathlib import Path

from docs.study_cases import CASES, EXAMPLE, Case
from docs.study_keys import Key, Table, tables
from hpo.errors import InputError
from hpo.study import parse

# The place of a study file, where objectives are looked for.
PATH = Path(__file__).resolve().parents[1] / "studies" / "reference.toml"
_HEAD = f"""\
# The study file

A study file is a TOML file that names what to train, the hyperparameters to search, and how.
`hpo check FILE` reads one without running anything. `--set KEY=VALUE` overrides any key for one
command, e.g. `--set round.trials=20`. Paths are relative to the file.

A complete file, with less common keys commented out:

```toml title="study.toml"
{EXAMPLE}```

Only `metric`, `direction`, `[search_space]`, and one of `objective` and `command` are required.

Below, each key has its type, its default, an example, and a wrong value with the error that it
gets. Errors start with the name of the file, left out here. What may change while a study runs is
in [Changing a study](changes.md).
"""
# What is worth saying of a table beyond the description of its field.
_MORE = {
    "[data]": "`hpo check FILE --data` reads the data and shows what became of it.",
    "[search_space]": (
        "Each hyperparameter has a table with `low` and `high`, or with `choices`. More in "
        "[Search spaces](spaces.md)."
    ),
    "[[start]]": "One table per point.",
}


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join([_HEAD, *(line for table in tables() for line in _section(table))])


def _section(table: Table) -> list[str]:
    is_inside = table.header.startswith("pruner")
    title = f"`{table.header}`" if table.header else "Top of the file"
    lines = [f"{'###' if is_inside else '##'} {title}", ""]
    if table.description:
        lines += [table.description, ""]
    if more := _MORE.get(table.header):
        lines += [more, ""]
    for key in table.keys:
        lines += [f"{'####' if is_inside else '###'} `{_shown(key)}`", "", *_entry(key), ""]
    return lines


def _shown(key: Key) -> str:
    """Return the name of a key as its heading has it, which no other heading has."""
    name = key.name
    return name.replace("round.pruner ", "") if " " in name else name.replace("].", "] ")


def _entry(key: Key) -> list[str]:
    case = CASES[key.name]
    default = f"Default: {key.default}" if key.default else "Required"
    if key.name in ("command", "[search_space].choices"):
        other = "objective" if key.name == "command" else "low` and `high"
        default = f"Required without `{other}`"
    example = " and ".join(f"`{line}`" for line in case.example.splitlines())
    return [
        key.description,
        "",
        f"- Type: {key.type}",
        f"- {default}",
        f"- Example: {example}",
        f"- Error: `{case.wrong}` gives `{said(key.name, case)}`",
    ]


def overrides(name: str, lines: str) -> tuple[str, ...]:
    """Return what puts lines of the table of a key into a study file."""
    if name.startswith("[[start]]"):
        return (f"start=[{{ {lines} }}]",)
    table = ""
    if name.startswith("["):
        table = name[1 : name.index("]")] + "."
    elif "." in name:
        table = name.partition(".")[0] + "."
    pairs = (line.partition(" = ") for line in lines.splitlines())
    return tuple(f"{table}{key}={value}" for key, _, value in pairs)


def said(name: str, case: Case) -> str:
    """Return the error for the wrong value of a key, without the file."""
    try:
        parse(case.base, PATH, overrides(name, case.wrong))
    except InputError as error:
        return str(error).removeprefix(f"{PATH}: ")
    raise ValueError(f"{name}: {case.wrong!r} is not wrong")
