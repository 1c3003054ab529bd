"""Which of several requirements files says all."""

from __future__ import annotations

from slimbake.adopt.listed import one_file

TEXTS = {
    "api/requirements.txt": "--extra-index-url https://download.pytorch.org/whl/cpu\n"
    "torch>=2.2  # why\nfastapi[all] ; python_version > '3'\n",
    "api/base.txt": "httpx\n",
    "api/prod.txt": "-r base.txt\n-i https://index.example/simple\ngunicorn \\\n  >=22\n-e ../libs/x[y]\n.\n",
}


def test_a_file_that_lists_what_was_installed_before_it_says_all() -> None:
    assert one_file(["api/requirements.txt"], ["torch"], TEXTS) == "api/requirements.txt"
    assert one_file(["api/requirements.txt"], ["torch==2.3"], TEXTS) == ""
    assert one_file(["api/requirements.txt"], ["numpy"], TEXTS) == ""


def test_a_file_that_includes_the_others_says_all() -> None:
    assert one_file(["api/base.txt", "api/prod.txt"], [], TEXTS) == "api/prod.txt"
    assert one_file(["api/base.txt", "api/requirements.txt"], [], TEXTS) == ""
