"""Say on one line why an objective failed: the error, and where it was raised."""

import traceback
from collections.abc import Mapping
from pathlib import Path

from hpo.output import Output
from hpo.text import one_line, shortened

_LINE_CHARACTERS = 200  # of the last line of output that are shown
_END_CHARACTERS = 10_000  # at the end of the output in which that line is looked for


def reason(error: BaseException, files: Mapping[str, Path], output: Output | None = None) -> str:
    """Return an error with the last place in the files of an objective that led to it.

    For a program, whose traceback has no such place, give its `output`: the last line usually has
    the reason.
    """
    said = f"{type(error).__name__}: {error}"
    if output is not None:
        lines = [one_line(line) for line in output.end(_END_CHARACTERS).splitlines()]
        last = next(filter(None, reversed(lines)), "")
        shown = shortened(last, _LINE_CHARACTERS)
        return f"{said} (last line of output: {shown})" if last else said
    paths = {str(file): path for path, file in files.items()}
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{paths[f.filename]}, line {f.lineno}" for f in frames if f.filename in paths]
    return f"{said} (at {places[-1]})" if places else said
