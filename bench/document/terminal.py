"""What a terminal shows of a program's output: as much of it as slimbake's progress needs. Pure."""

from __future__ import annotations

import re

_CODE = re.compile(r"\x1b\[[?]?(?P<number>\d*)[;\d]*(?P<code>[A-Za-z])|(?P<control>[\r\n])")
_UNENDED = re.compile(r"\x1b(\[[?;\d]*)?$")


class Screen:
    """Lines, and where the next letter goes. Colours are left out."""

    def __init__(self) -> None:
        self.lines = [""]
        self._row = self._column = 0
        self._rest = ""  # a code of which the end has not come yet

    def feed(self, text: str) -> None:
        """Take in what a program wrote."""
        text = self._rest + text
        unended = _UNENDED.search(text)
        self._rest = unended[0] if unended else ""
        text = text.removesuffix(self._rest) if self._rest else text
        at = 0
        for found in _CODE.finditer(text):
            self._put(text[at : found.start()])
            self._obey(found["control"] or found["code"], int(found["number"] or 0))
            at = found.end()
        self._put(text[at:])

    def _put(self, text: str) -> None:
        line = self.lines[self._row].ljust(self._column)
        end = self._column + len(text)
        self.lines[self._row] = f"{line[: self._column]}{text}{line[end:]}"
        self._column = end

    def _obey(self, code: str, number: int) -> None:
        if code == "\r":
            self._column = 0
        elif code == "\n":
            self._row += 1
            self.lines += [""] * (self._row == len(self.lines))
        elif code == "A":
            self._row = max(0, self._row - max(number, 1))
        elif code == "K":
            self.lines[self._row] = "" if number == 2 else self.lines[self._row][: self._column]

    def shown(self) -> tuple[str, ...]:
        """The lines, but for empty ones at the end."""
        lines = [line.rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return tuple(lines)
