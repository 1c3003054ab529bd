"""Make the text sets that parity is measured on, from packages that registries ship.

`python -m parity.make PYTHON_DOC.deb WORDNET.deb DJANGO.tar.gz` in `examples/atlas`.
README.md says which packages, and under which licences. The same packages give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
# what nlg's model was trained on is read the same way
sys.path.insert(0, str(FOLDER.parent / "services/nlg"))

from train.prose import HELD_OUT_EVERY, documents, paragraphs  # noqa: E402

PYTHON = {
    "package": "python3.13-doc (Debian)",
    "version": "3.13.5-2+deb13u5",
    "sha256": "a8a924637eeb25e666df5bbf7660ae09eb280be9effa39f9f6929e7a452bf65c",
    "licence": "PSF-2.0",
    "copyright": "Copyright (c) 2001-2024 Python Software Foundation; All Rights Reserved",
}
WORDNET = {
    "package": "wordnet-base (Debian)",
    "version": "1:3.0-39",
    "sha256": "f4f96d4d5d19061916c66cbb889a0119e6a46f9655051f5fd42b7317e46ce4db",
    "licence": "WordNet-3.0",
    "copyright": "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved.",
}
DJANGO = {
    "package": "Django (PyPI, source distribution)",
    "version": "5.2.19",
    "sha256": "ad03d8abc51dbff95ebf34b27123cf0c26a3b62db7ba0cd520783686362533d1",
    "licence": "BSD-3-Clause",
    "copyright": (
        "Copyright (c) Django Software Foundation and individual contributors. All rights reserved."
    ),
}
SENTENCES = 320  # of WordNet's examples, from all parts of speech
DISTRACTORS = 300  # documents that answer no question
LONG = 24  # sentences of more words than a small model reads
LONG_WORDS = 320
SHORT_WORDS = 60  # of a document, at most
PASSAGES = 48
PASSAGE_WORDS = 120
PROMPTS = 24
PROMPT_WORDS = 9
_HEADING = re.compile(r"^(\S.*)\n([-=~^*]{4,})$", re.MULTILINE)
_EXAMPLE = re.compile(r'"([^"]+)"')


def main() -> None:
    """Write `sentences.jsonl` and `prose.jsonl` beside this file."""
    arguments = argparse.ArgumentParser(description=__doc__)
    for name, source in (("python", PYTHON), ("wordnet", WORDNET), ("django", DJANGO)):
        arguments.add_argument(name, type=Path, help=f"{source['package']} {source['version']}")
    given = arguments.parse_args()
    for file, source in ((given.python, PYTHON), (given.wordnet, WORDNET), (given.django, DJANGO)):
        if hashlib.sha256(file.read_bytes()).hexdigest() != source["sha256"]:
            raise SystemExit(
                f"not {source['package']} {source['version']}, its sha256 differs: {file}"
            )
    _write(
        "sentences.jsonl", (PYTHON, WORDNET), (*_retrieval(given.python), *_examples(given.wordnet))
    )
    _write("prose.jsonl", (DJANGO,), _prose(given.django))


def _write(name: str, sources: Sequence[dict[str, str]], lines: Sequence[tuple[str, str]]) -> None:
    rows = [{"source": list(sources)}, *({kind: text} for kind, text in dict.fromkeys(lines))]
    (FOLDER / name).write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8"
    )


def _files(deb: Path, pattern: str) -> dict[str, str]:
    """The texts of a Debian package whose paths end like this, sorted by path."""
    tar = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        found = {
            member.name: archive.extractfile(member)
            for member in archive.getmembers()
            if member.isfile() and re.search(pattern, member.name)
        }
        return {
            name: file.read().decode("utf-8")
            for name, file in sorted(found.items())
            if file is not None
        }


def _retrieval(deb: Path) -> list[tuple[str, str]]:
    """Questions of Python's FAQ, the beginnings of their answers, other paragraphs of its
    documentation, long ones.
    """
    pages = _files(deb, r"/_sources/(faq|tutorial|howto|library)/[^/]+\.rst\.txt$")
    asked = [pair for name, page in pages.items() if "/faq/" in name for pair in _answered(page)]
    other = [
        p
        for name, page in pages.items()
        if "/faq/" not in name
        for p in dict.fromkeys(paragraphs(page))
    ]
    whole = [
        " ".join(paragraphs(page)).split() for name, page in pages.items() if "/howto/" in name
    ]
    long = [" ".join(words[:LONG_WORDS]) for words in whole if len(words) >= LONG_WORDS]
    return [
        *(("query", question) for question, _ in asked),
        *(("document", answer) for _, answer in asked),
        *(("document", _short(paragraph)) for paragraph in _spread(other, DISTRACTORS)),
        *(("sentence", text) for text in _spread(long, LONG)),
    ]


def _answered(page: str) -> Iterator[tuple[str, str]]:
    """The questions of a page of FAQ that prose answers, each with the beginning of the answer."""
    headings = list(_HEADING.finditer(page))
    ends = [*(heading.start() for heading in headings[1:]), len(page)]
    for heading, end in zip(headings, ends, strict=False):
        answer = paragraphs(page[heading.end() : end])
        if heading[1].endswith("?") and answer:
            yield heading[1].replace("``", "").replace("*", ""), _short(" ".join(answer))


def _short(text: str) -> str:
    return " ".join(text.split()[:SHORT_WORDS])


def _examples(deb: Path) -> list[tuple[str, str]]:
    """Sentences of daily life: how WordNet shows a word in use, the same number from each part of
    speech.
    """
    parts = _files(deb, r"/data\.(adj|adv|noun|verb)$").values()
    found = []
    for part in parts:
        glosses = (
            line.partition(" | ")[2] for line in part.splitlines() if not line.startswith("  ")
        )
        examples = [
            text for gloss in glosses for text in _EXAMPLE.findall(gloss) if len(text.split()) >= 5
        ]
        found += _spread(list(dict.fromkeys(examples)), SENTENCES // len(parts))
    return [("sentence", text) for text in found]


def _prose(sdist: Path) -> list[tuple[str, str]]:
    """Passages of pages that nlg's model was not trained on, and prompts from other ones of these."""
    pages = documents(sdist)[::HELD_OUT_EVERY]
    every = [paragraph for page in pages for paragraph in page.splitlines()]
    words = [paragraph.split() for paragraph in every if len(paragraph.split()) >= 2 * PROMPT_WORDS]
    passages = [passage for page in pages for passage in _passages(page.split())]
    prompts = [" ".join(each[:PROMPT_WORDS]) for each in _spread(words, PROMPTS)]
    return [
        *(("prompt", text) for text in prompts),
        *(("passage", text) for text in _spread(passages, PASSAGES)),
    ]


def _passages(words: list[str]) -> list[str]:
    """A page in passages of equal length, without the rest."""
    ends = range(PASSAGE_WORDS, len(words) + 1, PASSAGE_WORDS)
    return [" ".join(words[end - PASSAGE_WORDS : end]) for end in ends]


def _spread(found: Sequence, count: int) -> list:  # type: ignore[type-arg]
    """So many of them, from the first to the last; all where there are no more."""
    return (
        [found[len(found) * index // count] for index in range(count)]
        if len(found) > count
        else list(found)
    )


if __name__ == "__main__":
    main()
