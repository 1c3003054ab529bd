"""What an unquoted YAML word means: a text, a plain whole number, nothing, or something that needs
quotes.

YAML 1.1 and 1.2 disagree about `no`, `0123`, `1e3`, `1:30` and more, and so do editors and parsers.
The manifest has no use for any of them, so they are kept as written and refused with a word about
quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset(
    word for base in ("true", "yes", "on") for word in (base, base.title(), base.upper())
)
_FALSE = frozenset(
    word for base in ("false", "no", "off") for word in (base, base.title(), base.upper())
)
_BOOLS = _TRUE | _FALSE

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_RADIX = re.compile(r"[-+]?0(?:b_*[01][01_]*|o[0-7]+|x_*[0-9a-fA-F][0-9a-fA-F_]*|_*[0-7][0-7_]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?")
_NUMERIC = re.compile(
    "|".join(f"(?:{each.pattern})" for each in (_SEXAGESIMAL, _RADIX, _FLOAT, _SPECIAL, _DATE))
)
_FIRST = frozenset("0123456789+-.")
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Word:
    """An unquoted word that is no text to every YAML reader, as it was written."""

    text: str

    @property
    def meaning(self) -> str:
        """What a reader of YAML 1.1 takes it for, in words that follow 'is read as'."""
        if self.text in _BOOLS:
            return "true" if self.text in _TRUE else "false"
        if _DATE.fullmatch(self.text):
            return "a date"
        if self.number is None:
            return "a number"
        return f"the number {self.number:g}"

    @property
    def number(self) -> float | None:
        """The number that every reader of YAML or JSON takes it for; None where it is none, or they
        disagree.
        """
        if _DECIMAL.fullmatch(self.text):
            return float(self.text)
        return None


TRUTH = (Word("true"), Word("false"))  # what YAML 1.2 has of the words for it

Scalar = str | int | Word | None


def unquoted(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if text[:1] in _FIRST and _NUMERIC.fullmatch(text):
        return int(text) if _WHOLE.fullmatch(text) else Word(text)
    if text in _BOOLS:
        return Word(text)
    return None if text in NULLS else text
