"""A catalogue of one's own with passes that were found: their entries new or replaced, all else as
it is.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import yaml

from slimbake.proof.propose import Proposal, entry

WIDTH = 120


class _Indented(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def catalogue_text(found: Sequence[Proposal]) -> str:
    """The passes as a file of their own."""
    return "passes:\n" + "\n".join(_entry(each) for each in found)


def catalogue_with(text: str, found: Sequence[Proposal]) -> str:
    """The text of a catalogue with these passes in it. It must have its passes in lines of their
    own, as a block.

    Raises ValueError where it has not.
    """
    if not text.strip():
        return catalogue_text(found)
    made = text if text.endswith("\n") else f"{text}\n"
    for proposal in found:
        start, end = _place(made, proposal.proposed.name)
        new = _entry(proposal)
        before, after = made[:start], made[end:]
        gap = "" if before.endswith(("\n\n", "passes:\n")) else "\n"
        made = f"{before}{gap}{new}{chr(10) if after.strip() else ''}{after}"
    loaded = yaml.safe_load(made)
    if any(loaded["passes"].get(each.proposed.name) != entry(each) for each in found):
        raise ValueError("its passes are not laid out as a block")
    return made


def _entry(proposal: Proposal) -> str:
    buffer = io.StringIO()
    told = {proposal.proposed.name: entry(proposal)}
    yaml.dump(told, buffer, _Indented, sort_keys=False, width=WIDTH, allow_unicode=True)
    return "".join(f"  {line}\n" for line in buffer.getvalue().splitlines())


def _place(text: str, name: str) -> tuple[int, int]:
    """Where the entry of that name lies, from its line to the line after its last; an empty place
    if there is none.
    """
    passes = re.search(r"^passes:[ \t]*(?:#.*)?\n", text, re.MULTILINE)
    if not passes:
        raise ValueError("it has no line 'passes:'")
    following = re.compile(r"^[^\s#]", re.MULTILINE).search(text, passes.end())
    last = following.start() if following else len(text)
    found = re.compile(rf"""^  (["']?){re.escape(name)}\1:[ \t]*(?:#.*)?\n""", re.MULTILINE).search(
        text, passes.end(), last
    )
    if not found:
        return last, last
    after = re.compile(r"^ {0,2}\S", re.MULTILINE).search(text, found.end(), last)
    return found.start(), after.start() if after else last
