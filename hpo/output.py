"""Keep the output of a trial: all of it, or its beginning and its end if it is long."""

import io
from collections import deque

FIRST, LAST = 100_000, 900_000  # characters that are kept of the beginning and of the end


class Output(io.TextIOBase):
    """A file to print to, which keeps the beginning and the end of its text."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._room = FIRST
        self._last: deque[str] = deque()
        self._size = 0  # of the last
        self._left_out = 0
        self.written = 0  # characters, kept or not

    def writable(self) -> bool:
        """Return True: it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Keep text, or as much of it as fits."""
        self.written += len(text)
        head, tail = text[: self._room], text[self._room :]
        if head:
            self._first.append(head)
            self._room -= len(head)
        if tail:
            self._left_out += max(len(tail) - LAST, 0)
            self._last.append(tail[-LAST:])
            self._size += len(self._last[-1])
            while self._size > LAST:
                oldest = self._last.popleft()
                kept = oldest[self._size - LAST :]
                self._left_out += len(oldest) - len(kept)
                self._size -= len(oldest) - len(kept)
                if kept:
                    self._last.appendleft(kept)
        return len(text)

    def text(self) -> str:
        """Return the text, with a line in the middle that says how much is left out, if any.

        Another thread may call this while the first one writes: it gets everything, or misses a
        part that is being moved. There is no lock, because a process forked meanwhile would
        inherit it.
        """
        first, last = "".join(self._first), "".join(list(self._last))
        between = f"\n… {self._left_out} characters left out …\n" if self._left_out else ""
        whole = first + between + last
        return whole.encode("utf-8", "backslashreplace").decode()  # half of a surrogate pair

    def end(self, size: int) -> str:
        """Return the last `size` characters, ending with a newline."""
        last = "".join(self._last) if self._size >= size else self.text()
        last = last[-size:]
        return last if not last or last.endswith("\n") else last + "\n"
