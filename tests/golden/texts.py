"""Texts that a careless quoting would lose, run or break."""

import unicodedata

from hypothesis import strategies as st

_FRAGMENTS = st.sampled_from(
    [
        *("${", "$${", "%{", "%%{", "$", "$$", "%", "{", "}", "\\", "\\\\", '"', "'", "`"),
        *("\n", "\r\n", "\t", "\x01", "\x1b", "\x7f", "\u0085", "\u2028", "\ufeff", "ü", "漢"),
        *("𝄞", "~}", "#", "//", "/*", "<<EOF\n", "EOF\n", "${TAG}", "$(id)", "%{ if true }"),
        *("\\u0041", "\\n", " ", "=", ","),
    ]
)
_LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


def _as_bake_has_it(text: str) -> str:
    # HCL's strings are in this form: bake composes what is written otherwise, whoever quotes it.
    return unicodedata.normalize("NFC", text)


# A NUL fits into no variable, label or argument; the manifest refuses it.
texts = (
    st.lists(_FRAGMENTS | st.text(_LETTERS, max_size=4), max_size=6)
    .map("".join)
    .map(_as_bake_has_it)
)
