"""The program that measures a service's answers, run as a process as the image does."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from tests.ran import ran
from tests.unit.programs import written

Run = Callable[..., "subprocess.CompletedProcess[str]"]

COUNT = 40
VECTORS = [[math.cos(0.1 * number), math.sin(0.1 * number)] for number in range(COUNT)]
EMBEDDING = {
    "task": "embedding",
    "strings": ["", "a\0b", "[CLS]"],
    "ids": [[1], [1, 2], [3]],
    "texts": [f"text {number}" for number in range(COUNT)],
    "vectors": VECTORS,
    "documents": list(range(20)),
    "queries": list(range(20, COUNT)),
}
GENERATION = {
    "task": "generation",
    "strings": ["", "a"],
    "ids": [[1], [1, 2]],
    "tokens": 4,
    "prompts": [{"text": "one", "ids": [1, 2, 3, 4], "sure": 4}],
    "passages": [{"ids": [1, 2, 3], "logprobs": [-1.0, -1.0]}],
}
LIMITS = {"min-cosine": 0.99, "mean-cosine": 0.995, "top10": 0.97}
LIMITS |= {"tokens": 1.0, "perplexity": 0.01, "logprobs": 0.06}
EMBEDS = """
    import math, subject
    def embed(texts):
        assert 0 < len(texts) <= 16
        return [[math.cos(0.1 * int(text[5:])), math.sin(0.1 * int(text[5:]))] for text in texts]
    def ids(texts): return [{"": [1], "a\\0b": [1, 2], "[CLS]": [3]}[text] for text in texts]
"""
ONE_WRONG = EMBEDS.replace("return [[math", 'return [[0.0, 1.0] if text == "text 3" else [math')
GENERATES = """
    def generate(prompt, n): return [1, 2, 3, 4][:n]
    def logprobs(ids): return [-1.0] * (len(ids) - 1)
    def ids(texts): return [[1], [1, 2]]
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Measure with a file of this text; the service's code is the working directory, the file lies
    elsewhere.
    """
    (tmp_path / "app").mkdir()
    (tmp_path / "app/subject.py").write_text("VALUE = 1\n")
    (tmp_path / "context").mkdir()
    program = written("check", tmp_path)

    def call(
        text: str, reference: dict[str, Any], **limits: float
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "context/parity.py").write_text(dedent(text))
        (tmp_path / "reference.json").write_text(json.dumps(reference))
        environment = {
            "SLIMBAKE_PARITY": "parity.py",
            "SLIMBAKE_LIMITS": json.dumps(LIMITS | limits),
        }
        files = (str(tmp_path / name) for name in ("reference.json", "out.json"))
        words = [sys.executable, "-S", str(program), "parity", *files]
        words += [f"--context={tmp_path / 'context'}"]
        return ran(words, cwd=tmp_path / "app", env={**os.environ, **environment})

    return call


def verdict(done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = done.stderr.splitlines()
    return [line.removeprefix("parity: ") for line in lines if line.startswith("parity: ")]


def test_an_equal_embedding_holds_and_its_figures_are_kept(run: Run, tmp_path: Path) -> None:
    done = run(EMBEDS, EMBEDDING)
    assert done.returncode == 0, done.stderr
    assert len(verdict(done)) == 5
    assert all(line.endswith(": passed") for line in verdict(done))
    figures = json.loads((tmp_path / "out.json").read_text())
    assert (figures["texts"], figures["queries"]) == (COUNT, 20)
    assert (figures["top10"], figures["holds"]) == (1, True)
    said = next(line for line in done.stderr.splitlines() if line.startswith("{"))
    assert json.loads(said)["min-cosine"] == figures["min-cosine"]


def test_below_a_limit_it_fails_and_names_the_worst_cases_first(run: Run) -> None:
    done = run(ONE_WRONG, EMBEDDING)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[1].split(maxsplit=1)[1] == "'text 3'"
    verdicts = [line.rsplit(": ")[-1] for line in verdict(done)]
    assert verdicts == ["passed", *["FAILED"] * 3, "passed"]
    assert "minimum cosine 0.295520, at least 0.99: FAILED" in verdict(done)


def test_the_manifest_says_what_holds(run: Run) -> None:
    low = {"min-cosine": 0.2, "mean-cosine": 0.9, "top10": 0.5}
    assert run(ONE_WRONG, EMBEDDING, **low).returncode == 0


def test_a_generation_that_is_the_same_holds(run: Run, tmp_path: Path) -> None:
    done = run(GENERATES, GENERATION)
    assert done.returncode == 0, done.stderr
    assert len(verdict(done)) == 4
    figures = json.loads((tmp_path / "out.json").read_text())
    assert (figures["tokens"], figures["perplexity"], figures["predicted"]) == (1, 0, 2)


OTHER_ANSWERS = {
    "def generate(prompt, n): return [1, 2, 9, 4]": (
        "equal greedy tokens 0.500000, at least 1: FAILED"
    ),
    "def logprobs(ids): return [-1.1] * (len(ids) - 1)": (
        "change of perplexity 0.105171, at most 0.01: FAILED"
    ),
    "def logprobs(ids): return [-1.0] * len(ids)": "logprobs(ids) gave 3 numbers, and 2 are wanted",
    "def ids(texts): return [[1], [2, 1]]": "token ids are equal on 1 of 2 strings: FAILED",
    "def ids(texts): return [[1]]": "ids(texts) gave 1 lists, and 2 are wanted",
    "generate = None": "parity.py defines no generate()",
    "def generate(prompt, n): raise SystemExit(0)": "parity.py could not be run",
    "def generate(prompt, n): raise RuntimeError": "parity.py could not be run",
    "import nowhere": "parity.py could not be run",
}
OTHER_VECTORS = {
    "def embed(texts): return [[1.0, 0.0]]": "embed(texts) gave 1 vectors, and 16 are wanted",
    "def embed(texts): return [[1.0] for _ in texts]": "vectors of [1] numbers, where torch's have 2",
    "del ids, embed": "parity.py defines no embed(), ids()",
    "def embed(texts): return [[float('nan')] * 2 for _ in texts]": "minimum cosine -1.000000",
}


@pytest.mark.parametrize(
    ("honest", "reference", "broken", "words"),
    [
        *((GENERATES, GENERATION, *case) for case in OTHER_ANSWERS.items()),
        *((EMBEDS, EMBEDDING, *case) for case in OTHER_VECTORS.items()),
    ],
)
def test_answers_that_are_others_or_none_fail(
    honest: str, reference: dict[str, Any], broken: str, words: str, run: Run
) -> None:
    done = run(f"{dedent(honest)}\n{broken}\n", reference)
    assert done.returncode == 1
    assert words in "\n".join(verdict(done))


def test_what_the_service_prints_does_not_get_between_the_figures(run: Run, tmp_path: Path) -> None:
    done = run(f"{dedent(EMBEDS)}\nprint('{{}}', flush=True)\n", EMBEDDING)
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads((tmp_path / "out.json").read_text())["holds"]
