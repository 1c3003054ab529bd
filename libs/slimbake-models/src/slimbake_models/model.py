"""What a service asks of a model, whichever runtime runs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a service's own tests need no tokenizers
    from tokenizers import Encoding, Tokenizer

Floats = NDArray[np.float32]
Text = str | tuple[str, str] | list[str]
"""A text, or a pair of texts that a classifier reads together."""

BATCH = 16
NAMES = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


class WrongTaskError(TypeError):
    """The model was made for another task."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is known of a model beside its weights; an export writes it into inference.json."""

    task: str  # embedding, generation, classification, token-classification
    max_length: int  # tokens that are read of a text; of a decoder, read and written together
    inputs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    padding: Mapping[str, Any] | None = None
    ends: frozenset[int] = frozenset()  # the tokens that end a text


class Runtime(Protocol):
    """What runs a model. Several threads may call it at once."""

    settings: Settings
    tokenizer: Tokenizer

    def run(self, given: dict[str, NDArray[np.int64]], outputs: Sequence[str]) -> list[Floats]:
        """These outputs for a batch of whole texts: `token_embeddings` and `sentence_embedding`,
        or `logits`.
        """
        ...

    def read(self, ids: Sequence[int], cache: Any = None) -> tuple[Floats, Any]:
        """Read on after `cache`, or from the start: for each of these tokens, or for the last
        alone, the logits of what may follow; and the new cache.
        """
        ...

    def logits(self, ids: Sequence[int]) -> Floats:
        """For each token of a text that is read whole, the logits of what may follow."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """A text as an embedding model sees it: its vector, and a row for each token without the
    special ones; all of length 1.
    """

    vector: Floats
    tokens: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A part of a text with a label; `score` is the least probability of its tokens."""

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One generated token and the text that it completes, which may be empty."""

    token: int
    text: str


class Model:
    """A model that is loaded. Several threads may ask it at once.

    Each method is for one task and raises WrongTaskError in a model of another.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.settings = runtime.settings
        self._tokenizing = threading.Lock()  # a tokenizer's limit is a setting of the tokenizer
        self._random = np.random.default_rng()
        if padding := self.settings.padding:
            runtime.tokenizer.enable_padding(pad_id=padding["id"], pad_token=padding["token"])

    def encode(self, texts: Sequence[str]) -> Floats:
        """One vector of length 1 for each text."""
        self._must_be("embedding")
        parts = self._batches(texts, ["sentence_embedding"])
        found: list[Floats] = [vectors for _, (vectors,) in parts]
        return np.concatenate(found) if found else np.empty((0, 0), np.float32)

    def encode_tokens(self, texts: Sequence[str]) -> list[Encoded]:
        """Each text's vector, and those of its tokens."""
        self._must_be("embedding")
        found = []
        for batch, (tokens, vectors) in self._batches(
            texts, ["token_embeddings", "sentence_embedding"]
        ):
            units = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True).clip(1e-12)
            for row, vector, each in zip(units, vectors, batch, strict=True):
                own = np.array(each.special_tokens_mask) == 0
                found.append(Encoded(vector=vector, tokens=row[own]))
        return found

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers a query: the logit of a model with one label."""
        self._must_be("classification")
        if len(self.settings.labels) != 1:
            raise WrongTaskError(f"a model with {len(self.settings.labels)} labels ranks nothing")
        return [float(row[0]) for row in self.logits([(query, text) for text in texts])]

    def classify(self, texts: Sequence[Text], several: bool = False) -> list[dict[str, float]]:
        """The probability of each label, for each text or pair of texts.

        `several`: labels do not exclude each other; so it is with one label anyway.
        """
        self._must_be("classification")
        labels = self.settings.labels
        odds = _sigmoid if several or len(labels) == 1 else _softmax
        return [dict(zip(labels, odds(row).tolist(), strict=True)) for row in self.logits(texts)]

    def label(self, texts: Sequence[str], outside: str = "O") -> list[list[Span]]:
        """The labelled parts of each text, without those that are `outside`.

        Tokens beside each other with the same label are one part, unless it begins with `B-`.
        """
        self._must_be("token-classification")
        return [
            _spans(text, encoding, _softmax(rows), self.settings.labels, outside)
            for text, encoding, rows in self._of_tokens(texts)
        ]

    def logits(self, texts: Sequence[Text]) -> list[Floats]:
        """A classifier's logits: of each text, or of each token of each text."""
        if self.settings.task == "token-classification":
            return [rows for _, _, rows in self._of_tokens(texts)]
        self._must_be("classification")
        return [row for _, (rows,) in self._batches(texts, ["logits"]) for row in rows]

    def generate(
        self, prompt: str, max_new_tokens: int = 64, temperature: float = 0
    ) -> Iterator[Piece]:
        """Continue a prompt token by token, until the model ends the text.

        Temperature 0 takes the likeliest each time. Whoever stops asking for tokens stops the work.
        Of a prompt that is too long, the end is read.
        """
        self._must_be("generation")
        from tokenizers.decoders import DecodeStream

        most = min(max_new_tokens, self.settings.max_length - 1)
        (ids,) = self.ids([prompt], self.settings.max_length - most, "left")
        text, cache = DecodeStream(skip_special_tokens=True), None
        for _ in range(most):
            logits, cache = self.runtime.read(ids, cache)
            token = self._choose(logits[-1], temperature)
            if token in self.settings.ends:
                return
            # None while the bytes do not make up a character yet
            yield Piece(token=token, text=text.step(self.runtime.tokenizer, token) or "")
            ids = [token]

    def logprobs(self, ids: Sequence[int]) -> list[float]:
        """How likely each token is after those before it.

        A quarter is read at once, then token by token, as a text is generated.
        """
        self._must_be("generation")
        begun = max(1, len(ids) // 4)
        found = list(self.runtime.logits(ids[:begun])[:-1])
        logits, cache = self.runtime.read(ids[:begun])
        for token in ids[begun:]:
            found.append(logits[-1])
            logits, cache = self.runtime.read([token], cache)
        pairs = zip(found, ids[1:], strict=True)
        return [float(np.log(_softmax(row.astype(np.float64)))[token]) for row, token in pairs]

    def ids(
        self, texts: Sequence[Text], most: int | None = None, cut: str = "right"
    ) -> list[list[int]]:
        """The tokens that the model is given, `most` of a text at most."""
        return [
            [token for token, on in zip(each.ids, each.attention_mask, strict=True) if on]
            for each in self._encodings(texts, most or self.settings.max_length, cut)
        ]

    def _must_be(self, task: str) -> None:
        if self.settings.task != task:
            raise WrongTaskError(f"this is a model for {self.settings.task}, not for {task}")

    def _encodings(self, texts: Sequence[Text], most: int, cut: str = "right") -> list[Encoding]:
        with self._tokenizing:
            self.runtime.tokenizer.enable_truncation(most, direction=cut)
            made: list[Encoding] = self.runtime.tokenizer.encode_batch(
                [text if isinstance(text, str) else tuple(text) for text in texts]
            )
        return made

    def _batches(
        self, texts: Sequence[Text], outputs: Sequence[str]
    ) -> Iterator[tuple[list[Encoding], list[Floats]]]:
        for start in range(0, len(texts), BATCH):
            batch = self._encodings(texts[start : start + BATCH], self.settings.max_length)
            given = {
                name: np.array([getattr(each, NAMES[name]) for each in batch], np.int64)
                for name in self.settings.inputs
            }
            yield batch, self.runtime.run(given, outputs)

    def _of_tokens(self, texts: Sequence[Any]) -> Iterator[tuple[str, Encoding, Floats]]:
        texts_left = iter(texts)
        for batch, (logits,) in self._batches(texts, ["logits"]):
            for encoding, rows in zip(batch, logits, strict=True):
                yield next(texts_left), encoding, rows[np.array(encoding.attention_mask) == 1]

    def _choose(self, logits: Floats, temperature: float) -> int:
        if temperature == 0:
            return int(logits.argmax())
        odds = _softmax(logits.astype(np.float64) / temperature)
        return int(self._random.choice(len(odds), p=odds))


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    odds: NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return odds


def _sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    odds: NDArray[Any] = 1 / (1 + np.exp(-logits))
    return odds


def _spans(
    text: str, encoding: Encoding, odds: NDArray[Any], labels: Sequence[str], outside: str
) -> list[Span]:
    kept = [place for place, on in enumerate(encoding.attention_mask) if on]
    spans: list[Span] = []
    before = outside
    for place, row in zip(kept, odds, strict=True):
        if encoding.special_tokens_mask[place]:
            continue
        name = labels[int(row.argmax())]
        label = name[2:] if name[:2] in ("B-", "I-") else name
        start, end = encoding.offsets[place]
        score = float(row.max())
        if label == before != outside and not name.startswith("B-"):
            last = spans.pop()
            start, score = last.start, min(last.score, score)
        if label != outside:
            spans.append(Span(label=label, text=text[start:end], start=start, end=end, score=score))
        before = label
    return spans
