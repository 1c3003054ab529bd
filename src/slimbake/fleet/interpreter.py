"""The Python of an image of `from`, and the words in which a lock has it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from slimbake.config.naming import USER
from slimbake.inside.step import INTERPRETER

NOTHING = "-"
_PATH = r"/[A-Za-z0-9._+/-]{1,254}"
_FORMS = {
    "path": re.compile(_PATH),
    "version": re.compile(r"3\.[0-9]{1,2}\.[0-9]{1,3}[a-z0-9]{0,6}"),
    "libc": re.compile(r"glibc-[0-9.]{1,16}"),
    "machine": re.compile(r"[a-z0-9_]{1,16}"),
    "user": re.compile(r"[0-9]{1,10}:[0-9]{1,10}"),
    "home": re.compile(rf"{NOTHING}|{_PATH}"),
    "compilers": re.compile(rf"{NOTHING}|[a-z+]{{2,8}}(?:,[a-z+]{{2,8}}){{0,9}}"),
}
"""What each word may be, in their order: what an image prints ends up in a Dockerfile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The Python of an image of the user's, as `slimbake lock` found it by running it: its own, or
    slimbake's in an image that has none.
    """

    path: str  # absolute, without links
    version: str  # 3.13.5
    libc: str  # glibc-2.41
    machine: str  # x86_64
    user: str  # as whom the image runs: numbers of user and group
    home: str  # of that user; "" = it has none
    compilers: str  # that the image has: "cc,nvcc"; "" = none

    @property
    def is_linked(self) -> bool:
        """Whether it is slimbake's own, since the image has none."""
        return self.path.startswith(f"{INTERPRETER}/")

    @property
    def nonroot(self) -> str:
        """As whom services run that name no user: never as root."""
        return USER if self.user.startswith("0:") else self.user

    def words(self) -> tuple[str, ...]:
        """It as words of a line, none of which is empty."""
        every = (getattr(self, name) for name in _FORMS)
        return tuple(word or NOTHING for word in every)


def parsed_interpreter(words: Sequence[str]) -> Interpreter | None:
    """The Python that these words describe; None where they are others."""
    if len(words) != len(_FORMS):
        return None
    fields = dict(zip(_FORMS, words, strict=True))
    if not all(_FORMS[name].fullmatch(word) for name, word in fields.items()):
        return None
    return Interpreter(**{name: "" if w == NOTHING else w for name, w in fields.items()})
