"""A table in a terminal: the columns that fit, with a line that counts those left out."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from hpo import wording
from hpo.display.console import Console

GAP = 2  # between the columns of a table
HEADING_LINES = 3  # of a column, at most


@dataclass(frozen=True)
class Column:
    """A column of a table; `spare` says how early it is left out, 0 for never.

    Words begin at the left of their column, numbers end at its right. One that is empty says
    nothing, such as a count that is always 0: where it is left out, that is not said.
    """

    heading: str
    cells: Sequence[str]
    spare: int = 0
    words: bool = False
    empty: bool = False


class Grid:
    """A table of numbers that are never cut, however narrow the terminal.

    Where it is too wide, headings become several lines if that makes room for what matters more,
    and what is spare is left out; a line below says how many columns that are, and that `remedy`
    shows them.
    Where even the rest has no room, each row becomes a paragraph. A table that is `whole` leaves
    nothing out: all of each row goes into its paragraph instead.
    """

    def __init__(
        self, columns: Sequence[Column], remedy: str = "", *, whole: bool = False
    ) -> None:
        self._columns, self._remedy, self._whole = columns, remedy, whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out for the width at hand."""
        room = options.max_width
        headings = [column.heading for column in self._columns]
        shown = self._fitting(headings, room)
        folded = [_folded(column) for column in self._columns]
        if self._worth(self._fitting(folded, room)) > self._worth(shown):
            headings, shown = folded, self._fitting(folded, room)
        if self._whole and len(shown) < len(self._columns):
            shown = []
        if shown:
            yield self._table([(self._columns[i], headings[i]) for i in shown])
        else:
            shown = [i for i, column in enumerate(self._columns) if self._whole or not column.spare]
            yield from map(Text, self._paragraphs([self._columns[i] for i in shown], room))
        left = [c for i, c in enumerate(self._columns) if i not in shown and not c.empty]
        if left:
            yield Text(f"{wording.count(len(left), 'more column')}: {self._remedy}")

    def _fitting(self, headings: Sequence[str], room: int) -> list[int]:
        """Return the columns there is room for, in order; none where what is needed has none."""
        widths = [width(h, c.cells) for h, c in zip(headings, self._columns, strict=True)]
        shown, left = [], room + GAP
        for i in self._by_importance():
            if widths[i] + GAP <= left:
                shown.append(i)
                left -= widths[i] + GAP
            elif not self._columns[i].spare:
                return []
        return sorted(shown)

    def _by_importance(self) -> list[int]:
        """Return the columns in the order in which they are given room."""
        return sorted(range(len(self._columns)), key=lambda i: (self._columns[i].spare, i))

    def _worth(self, shown: Sequence[int]) -> list[bool]:
        """Return what makes a choice of columns larger than another: the important ones first."""
        return [i in shown for i in self._by_importance()]

    def _table(self, columns: Sequence[tuple[Column, str]]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column, heading in columns:
            table.add_column(
                Text(heading), justify="left" if column.words else "right", no_wrap=True,
                vertical="bottom",
            )
        for cells in zip(*(column.cells for column, _ in columns), strict=True):
            table.add_row(*map(Text, cells))
        return table

    def _paragraphs(self, columns: Sequence[Column], room: int) -> Iterator[str]:
        """Yield the lines of all rows: headings, each with its cell, and on one line with it.

        A heading that leaves its cell no room stands on a line of its own.
        """
        for cells in zip(*(column.cells for column in columns), strict=True):
            known = [(c.heading, cell) for c, cell in zip(columns, cells, strict=True) if cell]
            line = "-"
            for i, (heading, cell) in enumerate(known, start=1):
                pair = f"{heading} = {cell}{',' * (i < len(known))}"
                fits = cell_len(pair) <= room - 2
                for piece in [pair] if fits else pair.split(" = ", 1):
                    if cell_len(f"{line} {piece}") > room and line.strip(" -"):
                        yield line
                        line = " "
                    line = f"{line} {piece}"
            yield line


def _folded(column: Column) -> str:
    """Return the heading on a few lines where that makes the column narrower."""
    pieces = re.findall(r"[^_ ]+[_ ]*|[_ ]+", column.heading)
    wide = max(width("", column.cells), *(cell_len(piece.rstrip()) for piece in pieces))
    lines = [""]
    for piece in pieces:
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > wide:
            lines.append("")
        lines[-1] += piece
    if len(lines) > HEADING_LINES:
        return column.heading
    return "\n".join(line.rstrip() for line in lines)


def width(heading: str, cells: Sequence[str]) -> int:
    """Return how many letters the widest line of a column takes."""
    return max(cell_len(text) for text in (*heading.split("\n"), *cells))
