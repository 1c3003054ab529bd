"""The texts that parity is measured on: a set from a file, and strings that tokenizers get wrong.

A set is a file of JSON lines. Each is an object with one key: `sentence`, `document`, `query`,
`prompt` or `passage` with a text; or `source`, which says where texts come from and is not read.
"""

# ruff: noqa: RUF001 - look-alike characters are the point of these strings
from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

# A smaller set is refused: 500 texts miss a fault that shows in one text of a hundred with 0.7 %.
LEAST_SENTENCES = 500  # of all kinds that embeddings are compared on
LEAST_DOCUMENTS = 100  # among which the nearest ten are searched
LEAST_QUERIES = 50
LEAST_PROMPTS = 20
LEAST_PASSAGES = 10
LEAST_WORDS = 2000  # of all passages: perplexity is a mean over tokens, of which there are more


class TextsError(Exception):
    """A set that cannot be read, or is too small."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a set by kind, in the file's order."""

    sentence: tuple[str, ...] = ()
    document: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    prompt: tuple[str, ...] = ()
    passage: tuple[str, ...] = ()

    @property
    def embedded(self) -> tuple[str, ...]:
        """All texts that embeddings are compared on."""
        return (*self.sentence, *self.document, *self.query)


KINDS = tuple(field.name for field in fields(Texts))


def parse_texts(text: str) -> Texts:
    """The set in a file. Raises TextsError, which names the line."""
    by_kind: dict[str, dict[Any, None]] = {kind: {} for kind in KINDS}
    for number, line in enumerate(text.split("\n"), start=1):  # texts may hold other separators
        if not line.strip():
            continue
        try:
            ((kind, value),) = json.loads(line).items()
        except (ValueError, AttributeError):
            raise TextsError(f"line {number} is no object of JSON with one key") from None
        if kind == "source":
            continue
        if kind not in KINDS or not isinstance(value, str) or not value.strip():
            kinds = ", ".join(KINDS)
            raise TextsError(f"line {number} has no text for one of the keys source, {kinds}")
        by_kind[kind][value] = None
    return Texts(**{kind: tuple(texts) for kind, texts in by_kind.items()})


def too_small(texts: Texts, task: str) -> str:
    """Why a set is too small for one of the tasks; "" where it is not. Equal texts count once."""
    word_count = sum(len(passage.split()) for passage in texts.passage)
    demands = {
        "embedding": (
            (len(set(texts.embedded)), LEAST_SENTENCES, "sentences, documents and queries"),
            (len(texts.document), LEAST_DOCUMENTS, "documents"),
            (len(texts.query), LEAST_QUERIES, "queries"),
        ),
        "generation": (
            (len(texts.prompt), LEAST_PROMPTS, "prompts"),
            (len(texts.passage), LEAST_PASSAGES, "passages"),
            (word_count, LEAST_WORDS, "words of passages"),
        ),
    }
    return "; ".join(
        f"{count:,} {what}, at least {least:,} are wanted"
        for count, least, what in demands[task]
        if count < least
    )


def hostile(special: Iterable[str] = ()) -> tuple[str, ...]:
    """Strings on which tokenizers differ. `special`: a tokenizer's own special tokens, as text."""
    tokens = tuple(special)
    return (
        "",
        " ",
        "\n\t\r\n \u00a0\u2003\u3000",
        "  leading, doubled  and trailing  ",
        "🙂",
        "family 👩‍👩‍👧‍👦, flag 🏳️‍🌈 🇩🇪, skin 👍🏽, keycap 1️⃣",
        "مرحبا بالعالم، كيف حالك؟",
        "שלום עולם \u202eabc\u202c \u2067def\u2069",
        "e\u0301 \u00e9 n\u0303 \u00f1 a\u0308\u0323",  # combined and composed
        "Z\u0334\u031b\u0344a\u0336\u0310l\u0335\u0321g\u0337\u0338o\u0338\u0315",
        "ﬁ ﬂ ½ Å ① ｆｕｌｌｗｉｄｔｈ ℌ",
        "İıſẞß ΣΌΦΟΣ ǅ",
        "東京は日本の首都です。 漢字仮名交じり文",
        "한국어 \u1112\u1161\u11ab",
        "ภาษาไทยไม่มีช่องว่าง हिन्दी ქართული",
        "Ελληνικά Русский Տառ",
        "a\0b \0",
        "\x01\x07\x1b[31m\x7f\x85\x9f",
        "\ufeffmark \u200bzero\u200dwidth\u00adsoft\u2028line\u2029paragraph",
        "\ue000\uf8ff\U000f0000\U0010fffd",  # private
        "\u0378\U000e0fff\ufdd0\uffff\ufffd",  # of no character
        "don't can't it's l'été rock'n'roll ‘quoted’ “quoted” — dash – … ¿?",
        "1234567890 1,234.56 0x1F 1e-9 ٣٤٥ ⅷ ²",
        "https://example.com/a?b=c&d=%20#e user@example.com C:\\x\\y.txt",
        "def f(x):\n\treturn {'a': [x, *y], **z}  # 100 %\n",
        "snake_case camelCase kebab-case SHOUTING.dotted.name",
        "-" * 64 + "=" * 64 + "…" * 8,
        "a" * 1000,
        "pneumonoultramicroscopicsilicovolcanoconiosis" * 8,
        "ab" * 30_000,
        "word " * 12_000,
        "日" * 4_000,
        *(f"before {token} after{token}" for token in tokens),
        "".join(tokens),
    )
