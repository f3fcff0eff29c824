"""The page about commands, made from the command line itself."""

import inspect
import re
import textwrap
from collections.abc import Iterator

import click

from hpo.cli import commands as _commands  # noqa: F401  # they add themselves to the group
from hpo.cli.options import hpo
from hpo.errors import BAD_INPUT, DONE, INTERRUPTED, STOPPED

_HEAD = """\
# Commands

{intro}

`hpo --help` and `hpo COMMAND --help` print the same in the terminal, and `hpo --version` prints
the version.

{commands}

## Exit codes

| Code | Meaning |
|---|---|
{codes}

Errors are one line on standard error that starts with `hpo:`.
[When something goes wrong](messages.md) lists them.

## Environment variables

| Variable | Meaning |
|---|---|
{variables}

A [program](objectives.md#a-program) that hpo runs as an objective gets more.

## Shell completion

Add one of these lines to the file that your shell reads when it starts:

| Shell | File | Line |
|---|---|---|
| bash | `~/.bashrc` | `eval "$(_HPO_COMPLETE=bash_source hpo)"` |
| zsh | `~/.zshrc` | `eval "$(_HPO_COMPLETE=zsh_source hpo)"` |
| fish | `~/.config/fish/config.fish` | `_HPO_COMPLETE=fish_source hpo \\| source` |
"""
_CODES = {
    DONE: "The command did what it says, or there was nothing left to do.",
    STOPPED: "The study cannot continue, e.g. because too many trials failed or a disk is full.",
    BAD_INPUT: "A file or an option has to be changed; nothing was started.",
    INTERRUPTED: "Interrupted by Ctrl-C. The same command continues.",
}
VARIABLES = {
    "MLFLOW_TRACKING_URI": "Where the record is, as `--tracking-uri`. MLflow's own variables for "
    "user names and passwords of a server work as well.",
    "RAY_ADDRESS": "A Ray cluster to train on, as `--ray-address`.",
    "RAY_API_SERVER_ADDRESS": "The dashboard of the cluster that `hpo submit` and `hpo cancel` "
    "talk to, as `--cluster`.",
    "RAY_AUTH_TOKEN": "The token of that cluster.",
    "RAY_AUTH_TOKEN_PATH": "A file that holds the token.",
    "RAY_TMPDIR": "Where Ray keeps its files; hpo picks a folder if it is not set.",
    "HPO_OUTBOX": "The folder for results that are not yet recorded; `.hpo` by default.",
    "HPO_CHECKPOINTS": "Where the folders of trials are kept if the study file has "
    "`[checkpoints]` without `storage`.",
    "HPO_CACHE": "The cache: downloaded data, and the empty record that new ones copy; "
    "`~/.cache/hpo` by default.",
    "XDG_CACHE_HOME": "The folder that holds the cache, `hpo`, if `HPO_CACHE` is not set.",
    "CUDA_VISIBLE_DEVICES": "The GPUs that trials may use.",
}


def page() -> str:
    """Return the page as Markdown."""
    return _HEAD.format(
        intro=_text(hpo),
        commands="\n\n".join(_section(command, path) for path, command in commands()),
        codes="\n".join(f"| {code} | {meaning} |" for code, meaning in sorted(_CODES.items())),
        variables="\n".join(f"| `{name}` | {text} |" for name, text in VARIABLES.items()),
    )


def commands(group: click.Group = hpo, path: str = "hpo") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with how it is typed, such as "hpo submit run"."""
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def _section(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}", f"```text\n{usage}\n```", _text(command)]
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    listed = [
        _option(each, context) for each in options
        if "--help" not in each.opts and not each.hidden
    ]
    if listed:
        parts.append("\n".join(listed))
    return "\n\n".join(parts)


def _text(command: click.Command) -> str:
    """Return the help of a command as Markdown, its paragraphs as lines."""
    paragraphs = inspect.cleandoc(command.help or "").partition("\f")[0].split("\n\n")
    return "\n\n".join(
        f"```text\n{paragraph.removeprefix(chr(8)).strip()}\n```"
        if paragraph.startswith("\b") else wrapped(_markdown(" ".join(paragraph.split())))
        for paragraph in paragraphs
    )


def _markdown(text: str) -> str:
    """Return text of a terminal in which Markdown reads no links, emphasis or tags."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"(--[a-z][a-z-]*)", r"`\1`", p) for p in parts[::2]]
    parts = re.split(r"(`[^`]*`)", "".join(parts))
    parts[::2] = [re.sub(r"([\[\]<>*_])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def wrapped(text: str, indent: str = "") -> str:
    """Return a paragraph in lines of at most 120 characters."""
    lines = textwrap.fill(
        text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return re.sub(r"(\n *)([-+*#>] )", r"\1\\\2", lines)  # else a list would begin there


def _value(option: click.Option, context: click.Context) -> str:
    """Return what is written after an option, such as INTEGER."""
    shown = option.make_metavar(context)
    is_plain = isinstance(option.type, click.IntRange | click.FloatRange) and not option.metavar
    return option.type.name.split()[0].upper() if is_plain else shown


def _option(option: click.Option, context: click.Context) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag or option.count else " " + _value(option, context)
    text, notes = (option.help or "").strip(), []
    # What a help text says at its end in brackets, such as [RAY_ADDRESS] or [default: 5].
    if ended := re.fullmatch(r"(.*?)\s*\[([^\]]*)\]", text, re.DOTALL):
        text = ended[1]
        notes = [note.strip() for note in ended[2].split(";")]
        notes = [n.removeprefix("default:").strip() for n in notes if not n.startswith("env:")]
    variable = option.envvar if isinstance(option.envvar, str) else ""
    default = option.get_default(context, call=False)
    is_value = isinstance(default, str | int | float) and not isinstance(default, bool)
    known = str(default) if is_value and option.show_default else ""
    if not known:
        known = next((n for n in notes if n not in (variable, "required")), "")
    said = [f"Default: `{known}`."] if known else []
    said += [f"Environment variable: `{variable}`."] if variable else []
    if isinstance(option.type, click.IntRange) and (least := option.type.min) is not None:
        said.insert(0, f"At least {least}.")
    said += ["Required."] if option.required else []
    return wrapped(" ".join([f"- `{names}{value}`: {_markdown(text)}", *said]), "  ")
