"""Pages of the documentation, taken apart into blocks that can be run."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import click
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from markdown_it import MarkdownIt

from hpo.cli.commands import hpo
from hpo.toml_text import document
from tests.processes import ROOT

SHOWN_ONLY = ("text", "json")
RUN = ("console", "python", "toml")
FIRST_TABLE = ROOT / "studies" / "digits.toml"
_DIRECTIVE = re.compile(r"<!-- ([a-z ]+): (.+?) -->")
_KNOWN = {"not run", "run with", "needs", "begin"}  # the last one begins what a script writes
_NUMBER = re.compile(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?")
_END = "\x1e"  # between the outputs of two commands
_LONGEST = 120  # seconds, of one block


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it is if it has a title, and how it is to be run."""

    page: str
    line: int
    language: str
    title: str | None
    text: str
    directives: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runs(self) -> bool:
        return "not run" not in self.directives

    @property
    def lacks(self) -> str:
        """The package that this block needs and that is not installed, or nothing."""
        needed = self.directives.get("needs", "")
        return needed if needed and find_spec(needed) is None else ""


def pages() -> list[Path]:
    """Return the files of the documentation."""
    top = [ROOT / "README.md", *ROOT.glob("CONTRIBUTING.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """Return the fenced blocks of a page, from top to bottom."""
    found, directives = [], {}
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            found_here = dict(_DIRECTIVE.findall(token.content))
            assert found_here.keys() <= _KNOWN, f"{name_of(page)}: unknown: {token.content}"
            directives |= found_here
        elif token.type == "fence":
            assert token.map is not None
            language, *attributes = shlex.split(token.info) or [""]
            titles = [each[6:] for each in attributes if each.startswith("title=")]
            found.append(Block(
                name_of(page), token.map[0] + 1, language, titles[0] if titles else None,
                token.content, directives,
            ))
            directives = {}
        elif token.nesting == 0:
            directives = {}
    return tuple(found)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a console block, each with the lines it is said to print."""
    found: list[tuple[str, list[str]]] = []
    going_on = False
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif going_on:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif found:
            found[-1][1].append(line)
        else:
            raise AssertionError(f"{line!r} comes before any command; commands begin with '$ '")
        going_on = not (found[-1][1]) and line.endswith("\\")
    return found


def named_commands(page: Path) -> Iterator[str]:
    """Yield all that a page gives to type: in blocks, and `like this` between words."""
    for block in blocks(page):
        if block.language == "console":
            yield from (command for command, _ in commands(block.text))
    if page.name == "messages.md":
        return  # sentences, some of which begin with "hpo"
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def wrong_command(command: str) -> str | None:
    """Return why the command line would not understand a command of `hpo`, or nothing."""
    if not re.match(r"(\w+=\S* +)*hpo ", command):
        return None
    try:
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        every = list(lexer)
    except ValueError as error:
        return str(error)
    parts: list[list[str]] = [[]]
    for word in every:
        if word in ("|", "&&", "||", ";", "&"):
            parts.append([])
        else:
            parts[-1].append(word)
    return next((wrong for words in parts if (wrong := _wrong(words)) is not None), None)


def _wrong(words: list[str]) -> str | None:
    while words and re.fullmatch(r"\w+=\S*", words[0]):  # variables
        words = words[1:]
    if words[:1] != ["hpo"] or len(words) < 2 or not re.fullmatch("[a-z]+", words[1]):
        return None
    known = hpo.commands.get(words[1])
    if known is None:
        return f"no command {words[1]!r}"
    stop = words.index(">") if ">" in words else None
    try:
        with click.Context(known, info_name=words[1]) as context:
            known.make_parser(context).parse_args(words[2:stop])
    except click.UsageError as error:
        return error.format_message()
    return None


class Reader:
    """Somebody who follows a page from top to bottom, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._study: Path | None = None
        self._kernel: tuple[KernelManager, BlockingKernelClient] | None = None
        paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
        self._environment = {**os.environ, "PATH": os.pathsep.join(paths), "COLUMNS": "100"}
        self._environment.pop("PYTHONHASHSEED", None)
        self._environment.pop("RAY_AUTH_TOKEN", None)

    def follow(self, block: Block) -> None:
        """Do what a block says; assert that it does what the page says of it."""
        if block.title is not None:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            if path.suffix == ".toml":
                self._study = path
        elif block.language == "console":
            self._type(block)
        elif block.language == "python":
            self._execute(block)
        elif block.language == "toml":
            self._lay_over(block)

    def _type(self, block: Block) -> None:
        typed = commands(block.text)
        more = block.directives.get("run with", "")
        lines = [f"{_with_more(command, more)}\nprintf '{_END}%d{_END}' $?" for command, _ in typed]
        done = subprocess.run(
            ["bash", "-c", "\n".join(lines)], cwd=self.folder, env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            timeout=_LONGEST, check=False,
        )
        printed = done.stdout.decode(errors="replace").split(_END)
        assert len(printed) == 2 * len(typed) + 1, f"{block}: {printed}"
        results = zip(typed, printed[::2], printed[1::2], strict=False)
        for (command, expected), output, code in results:
            fails = bool(expected) and expected[0].startswith(("hpo: ", "Error: "))
            assert int(code) == (2 if fails else 0), f"{block}: $ {command}\n{output}"
            missing = _first_missing(expected, output)
            assert missing is None, f"{block}: $ {command}\ndoes not print {missing!r}:\n{output}"

    def _execute(self, block: Block) -> None:
        if self._kernel is None:
            manager = KernelManager()
            manager.start_kernel(cwd=str(self.folder), env=self._environment)
            client = manager.client()
            client.start_channels()
            client.wait_for_ready(timeout=_LONGEST)
            self._kernel = manager, client
        reply = self._kernel[1].execute_interactive(
            block.text, timeout=_LONGEST, output_hook=lambda message: None,
        )["content"]
        assert reply["status"] == "ok", f"{block}: {reply.get('ename')}: {reply.get('evalue')}"

    def _lay_over(self, block: Block) -> None:
        """Check a part of a study file in the one that the page has, else in that of the digits."""
        below = self._study or self.folder / "studies" / FIRST_TABLE.name
        whole = tomllib.loads(below.read_text(encoding="utf-8"))
        for key, value in tomllib.loads(block.text).items():
            if isinstance(value, dict) and isinstance(whole.get(key), dict):
                whole[key] |= value
            else:
                whole[key] = value
        file = below.with_name(f"line_{block.line}_{below.name}")
        file.write_text(document(whole), encoding="utf-8")
        done = subprocess.run(
            ["hpo", "check", file.name], cwd=file.parent, env=self._environment, text=True,
            capture_output=True, timeout=_LONGEST, check=False,
        )
        file.unlink()
        assert done.returncode == 0, f"{block}: {done.stderr}"

    def leave(self) -> None:
        """End what was started."""
        if self._kernel is not None:
            self._kernel[1].stop_channels()
            self._kernel[0].shutdown_kernel(now=True)


def _with_more(command: str, more: str) -> str:
    """Return a command with arguments that make it smaller, if it is one that trains."""
    if not more or not re.match(r"(\w+=\S* )*hpo (run|confirm|extend)\b", command):
        return command
    before, hash_sign, comment = command.partition("  #")
    return f"{before} {more}{hash_sign}{comment}"


def _first_missing(expected: list[str], output: str) -> str | None:
    """Return the first line of those expected, in this order, that is not in an output."""
    printed = iter([_blurred(line) for line in output.splitlines()])
    for line in expected:
        if line.strip() in ("", "..."):
            continue
        if not any(_blurred(line) == other for other in printed):
            return line
    return None


def _blurred(line: str) -> str:
    return " ".join(_NUMBER.sub("#", line).split())


