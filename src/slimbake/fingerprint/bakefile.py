"""A bake file taken apart: what of its text one target's content depends on. Pure.

A rendered file has each block's first line, and its closing brace, at the margin. What does not,
whoever wrote the template, belongs to every target: then too much counts, and never too little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Where images and caches go, and what this machine brings as secrets: nothing of what is in an
# image.
_PLACES = re.compile(r"^[ \t]+(?:tags|cache-from|cache-to)[ \t]*=[^\n]*[\])][ \t]*\n", re.MULTILINE)
_ELSEWHERE = frozenset({"LAYOUTS", "CA_BUNDLE", "UV_SETTINGS"})

_BLOCK = re.compile(
    r"^(target|variable|function|group)[ \t]+\"?([^\"\s{]+)\"?[ \t]*\{"
    r"(?:[^\n]*\}[ \t]*\n|[^\n]*\n(?:(?!\}).*\n)*\}[ \t]*\n)",
    re.MULTILINE,
)
_COMMENT = re.compile(r"^[ \t]*(?:#|//)[^\n]*\n", re.MULTILINE)
_INHERITS = re.compile(r"^[ \t]+inherits[ \t]*=[ \t]*\[([^\]]*)\]", re.MULTILINE)
_DEFAULT = re.compile(r"\bdefault[ \t]*=[ \t]*\"((?:[^\"\\$%]|\\.)*)\"")
_WORD = re.compile(r"\w+")
_CALL = re.compile(r"([\w-]+)\(")


class BakeFile:
    """The blocks of one bake file, and the values that its variables have."""

    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        text = _COMMENT.sub("", text if text.endswith("\n") else f"{text}\n")
        self._blocks: dict[str, dict[str, str]] = {
            "target": {},
            "variable": {},
            "function": {},
            "group": {},
        }
        for block in _BLOCK.finditer(text):
            kind = self._blocks[block[1]]
            kind[block[2]] = kind.get(block[2], "") + block[0]  # bake merges blocks of one name
        self._given = variables
        self._called: dict[str, dict[str, None]] = {}
        self._shared = re.sub(r"\n{2,}", "\n", _BLOCK.sub("", text)).strip()

    def settings(self, target: str) -> str:
        """The text of a target's block, of what it inherits and of the functions that it calls."""
        blocks, functions = self._blocks["target"], self._blocks["function"]
        names, texts = [target], [self._shared]
        for name in names:
            text = _PLACES.sub("", blocks.get(name, ""))
            texts.append(text)
            for listed in _INHERITS.findall(text):
                names += [each for each in re.findall(r'"([^"]+)"', listed) if each not in names]
        called: list[str] = []
        for text in texts:
            new = [word for word in self._calls(text) if word in functions and word not in called]
            called += new
            texts += [functions[word] for word in new]
        return "".join(texts)

    def values(self, settings: str) -> dict[str, str]:
        """The variables that these settings read, and their values."""
        variables = self._blocks["variable"]
        words = variables.keys() & set(_WORD.findall(settings)) - _ELSEWHERE
        return {word: self._given.get(word, _default(variables[word])) for word in sorted(words)}

    def _calls(self, text: str) -> dict[str, None]:
        if text not in self._called:
            self._called[text] = dict.fromkeys(_CALL.findall(text))
        return self._called[text]


def _default(block: str) -> str:
    found = _DEFAULT.search(block)
    return found[1] if found else block
