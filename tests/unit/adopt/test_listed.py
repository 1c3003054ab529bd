"""Several requirements files, and packages named beside them: one file, or one list."""

from __future__ import annotations

import pytest

from slimbake.adopt.code import Unreadable
from slimbake.adopt.listed import listed, one_file
from slimbake.adopt.model import Note, Place

TEXTS = {
    "api/requirements.txt": "--extra-index-url https://download.pytorch.org/whl/cpu\n"
    "torch>=2.2  # why\nfastapi[all] ; python_version > '3'\n",
    "api/base.txt": "httpx\n",
    "api/prod.txt": "-r base.txt\n-i https://index.example/simple\ngunicorn \\\n  >=22\n-e ../libs/x[y]\n.\n",
    "api/pinned.txt": "-c limits.txt\nrich\n",
    "api/hashed.txt": "rich==13 \\\n    --hash=sha256:00\n",
}


def test_a_file_that_lists_what_was_installed_before_it_says_all() -> None:
    assert one_file(["api/requirements.txt"], ["torch"], TEXTS) == "api/requirements.txt"
    assert one_file(["api/requirements.txt"], ["torch==2.3"], TEXTS) == ""
    assert one_file(["api/requirements.txt"], ["numpy"], TEXTS) == ""


def test_a_file_that_includes_the_others_says_all() -> None:
    assert one_file(["api/base.txt", "api/prod.txt"], [], TEXTS) == "api/prod.txt"
    assert one_file(["api/base.txt", "api/requirements.txt"], [], TEXTS) == ""


def test_a_list_has_the_lines_of_every_file_and_indexes_are_notes() -> None:
    assert listed("api/requirements.txt", TEXTS, "api") == (
        ["torch>=2.2", "fastapi[all] ; python_version > '3'"],
        [],
    )
    advice = "indexes are settings of the machine: set UV_INDEX_URL or pip.conf there"
    assert listed("api/prod.txt", TEXTS, "api") == (
        ["gunicorn    >=22", "./libs/x[y]", "./api", "httpx"],
        [Note(Place("api/prod.txt", 2), "the index https://index.example/simple", advice, "api")],
    )


@pytest.mark.parametrize(
    ("file", "said"), [("pinned", "1: `-c limits.txt`"), ("hashed", "1: `--hash rich==13")]
)
def test_what_no_list_can_hold_keeps_the_dockerfile(file: str, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        listed(f"api/{file}.txt", TEXTS, "api")
    assert f"api/{file}.txt:{said}" in str(refused.value.note)
