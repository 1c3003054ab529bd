"""The English prose of a reStructuredText documentation folder, taken from a source distribution."""

import re
import tarfile
from pathlib import Path

HELD_OUT_EVERY = 20  # pages: what is held out is for measuring alone

_ROLE_WITH_TARGET = re.compile(r":[\w:+-]+:`~?\.?([^`<]*?)\s*<[^`]*>`")
_ROLE = re.compile(r":[\w:+-]+:`[~!]?\.?([^`]*)`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`]*>`_{0,2}")
_REFERENCE = re.compile(r"`([^`]*)`_{1,2}")
_EMPHASIS = re.compile(r"(?<!\w)\*{1,2}(\S(?:.*?\S)?)\*{1,2}(?!\w)")
_SENTENCE_END = (".", "!", "?", ":")
_NOT_PROSE = re.compile(r"^(\.\.|:\w|>>>|\$|[-=~^*#+|])|[{}\\|]|://|\.\.\.")


def documents(sdist: Path, folder: str = "docs") -> list[str]:
    """Return one text per documentation page, pages in the order of their paths, one paragraph a
    line.

    A paragraph comes once: release notes repeat themselves, and held-out pages must not be known
    already. Raises FileNotFoundError when there is no archive, tarfile.ReadError when it is none.
    """
    with tarfile.open(sdist) as archive:
        pages = {
            member.name: archive.extractfile(member)
            for member in archive.getmembers()
            if member.isfile()
            and member.name.split("/")[1] == folder
            and member.name.endswith(".txt")
        }
        texts = [
            file.read().decode("utf-8") for _, file in sorted(pages.items()) if file is not None
        ]
    seen: set[str] = set()
    found = []
    for text in texts:
        new = [paragraph for paragraph in dict.fromkeys(paragraphs(text)) if paragraph not in seen]
        seen.update(new)
        if new:
            found.append("\n".join(new))
    return found


def paragraphs(page: str) -> list[str]:
    """Return the paragraphs of a page that are sentences: no code, headings, tables or directives."""
    found = []
    code_deeper_than: int | None = None
    for block in re.split(r"\n\s*\n", page):
        indent = min(
            (len(line) - len(line.lstrip()) for line in block.splitlines() if line.strip()),
            default=0,
        )
        if code_deeper_than is not None and indent > code_deeper_than:
            continue
        code_deeper_than = None
        text = " ".join(block.split())
        if text.startswith((".. code", ".. console", ".. snippet")) or text.endswith("::"):
            code_deeper_than = indent
        text = _plain(text.removesuffix(":") if text.endswith("::") else text)
        if len(text.split()) >= 8 and text.endswith(_SENTENCE_END) and not _NOT_PROSE.search(text):
            found.append(text)
    return found


def _plain(text: str) -> str:
    """Drop inline markup and the bullet of a list item."""
    text = re.sub(r"^(\*|-|#\.|\d+\.)\s+", "", text)
    for markup in (_ROLE_WITH_TARGET, _ROLE, _LINK, _REFERENCE, _EMPHASIS):
        text = markup.sub(r"\1", text)
    return text.replace("``", "").replace("`", "")
