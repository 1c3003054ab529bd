"""Sets of texts for parity: what is read, what is refused, and the set of the example fleet."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake_export.texts import KINDS, Texts, TextsError, hostile, parse_texts, too_small

PARITY = Path(__file__).parents[3] / "examples/atlas/parity"
WORDS = st.text().filter(lambda text: text.strip())


ROWS = st.tuples(st.sampled_from(KINDS), WORDS)


@given(st.lists(ROWS), st.booleans())
def test_what_is_written_is_read_each_text_once(rows: list[tuple[str, Any]], plain: bool) -> None:
    lines = [json.dumps({kind: text}, ensure_ascii=plain) for kind, text in rows]
    found = parse_texts("\n".join(['{"source": []}', "", *lines]))
    for kind in KINDS:
        assert getattr(found, kind) == tuple(
            dict.fromkeys(text for own, text in rows if own == kind)
        )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2 is no object of JSON with one key"),
        ("[]", "line 2 is no object of JSON with one key"),
        ('{"query": "a", "document": "b"}', "line 2 is no object of JSON with one key"),
        ('{"sentense": "a"}', "line 2 has no text for one of the keys source, sentence, document"),
        ('{"sentence": 1}', "line 2 has no text for one of the keys"),
        ('{"sentence": " "}', "line 2 has no text for one of the keys"),
    ],
)
def test_a_line_that_is_none_is_named(line: str, words: str) -> None:
    with pytest.raises(TextsError, match=words):
        parse_texts(f'{{"sentence": "a"}}\n{line}\n')


def made(sentences: int, documents: int, queries: int) -> Texts:
    def some(kind: str, count: int) -> tuple[str, ...]:
        return tuple(f"{kind} {number}" for number in range(count))

    return Texts(some("sentence", sentences), some("document", documents), some("query", queries))


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (made(350, 100, 50), ""),
        (made(349, 100, 50), "499 sentences, documents and queries, at least 500 are wanted"),
        (
            made(500, 99, 49),
            "99 documents, at least 100 are wanted; 49 queries, at least 50 are wanted",
        ),
        (
            Texts(
                sentence=("one",) * 350,
                document=made(0, 100, 0).document,
                query=made(0, 0, 50).query,
            ),
            "151 sentences, documents and queries, at least 500 are wanted",
        ),
    ],
)
def test_a_set_that_says_too_little_of_embeddings_is_refused(texts: Texts, why: str) -> None:
    assert too_small(texts, "embedding") == why


def test_a_set_that_says_too_little_of_generation_is_refused() -> None:
    prompts = tuple(f"prompt {number}" for number in range(20))
    assert too_small(Texts(prompt=prompts, passage=("word " * 200,) * 10), "generation") == ""
    assert too_small(Texts(prompt=prompts[1:], passage=("word " * 199,) * 10), "generation") == (
        "19 prompts, at least 20 are wanted; 1,990 words of passages, at least 2,000 are wanted"
    )


def test_hostile_strings_are_many_differ_and_hold_what_tokenizers_get_wrong() -> None:
    found = hostile(("[CLS]", "<pad>"))
    assert len(found) == len(set(found)) >= 30
    joined = "".join(found)
    assert "" in found
    assert all(
        sign in joined
        for sign in ("🙂", "\0", "\u202e", "e\u0301", "[CLS]", "<pad>", "\ufeff", "東")
    )
    assert max(map(len, found)) >= 60_000
    for text in found:
        text.encode("utf-8")


@pytest.mark.parametrize(
    ("file", "task"), [("sentences.jsonl", "embedding"), ("prose.jsonl", "generation")]
)
def test_the_sets_of_the_example_say_enough_and_where_they_come_from(file: str, task: str) -> None:
    text = (PARITY / file).read_text("utf-8")
    assert too_small(parse_texts(text), task) == ""
    sources = json.loads(text.partition("\n")[0])["source"]
    assert all(
        {"package", "version", "sha256", "licence", "copyright"} == each.keys() for each in sources
    )
    licences = (PARITY / "README.md").read_text("utf-8")
    assert all(each["licence"] in licences and each["copyright"] in licences for each in sources)
