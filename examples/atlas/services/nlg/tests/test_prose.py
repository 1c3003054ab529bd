import io
import tarfile
from pathlib import Path

from train.prose import documents, paragraphs

PAGE = """\
=======
Heading of eight words that nobody would read.
=======

.. currentmodule:: a.b

Call :meth:`~a.B.save` on the :ref:`manager <topics-manager>`, which *always*
works: see ``B`` and `the guide <https://x.example/>`_.

For instance, here is how to do it in code::

    this is code, although it reads as a sentence of words.

      and so is this deeper part of it, which also ends.

* The first item of a list is a sentence too.

    >>> this_is_a_session("that is not English prose at all.")

Too short a line.

.. code-block:: python

    # A comment in the code that looks like a sentence to us.
"""


def test_sentences_stay_without_their_markup() -> None:
    assert paragraphs(PAGE)[:2] == [
        "Call a.B.save on the manager, which always works: see B and the guide.",
        "For instance, here is how to do it in code:",
    ]


def test_code_headings_and_scraps_go() -> None:
    assert paragraphs(PAGE)[2:] == ["The first item of a list is a sentence too."]


def test_pages_come_in_order_and_a_paragraph_only_once(tmp_path: Path) -> None:
    once, twice = (
        "A sentence with more than eight words in it.",
        "A second one with as many words, and more.",
    )
    sdist = tmp_path / "package-1.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for name, text in {
            "package-1/docs/b.txt": f"{once}\n\n{twice}\n",
            "package-1/docs/a.txt": f"{once}\n\n{once}\n",
            "package-1/docs/c.txt": once,
            "package-1/docs/code.py": twice,
            "package-1/elsewhere/a.txt": twice,
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    assert documents(sdist) == [once, twice]
