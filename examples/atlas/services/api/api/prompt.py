"""The words that nlg is given to go on."""

from collections.abc import Sequence

# characters of sources: small models read a few hundred tokens, and latency grows with each
ROOM = 1200


def prompt(question: str, texts: Sequence[str]) -> str:
    """Put the sources, the best first, and the question into one text that an answer continues.

    Each source has an equal share of ROOM, and is cut at the last word that fits.
    """
    share = ROOM // len(texts)
    sources = "\n".join(f"- {_cut(' '.join(text.split()), share)}" for text in texts)
    return f"Context:\n{sources}\n\nQuestion: {question.strip()}\nAnswer:"


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    return (text[: length + 1].rsplit(" ", 1)[0])[:length]
