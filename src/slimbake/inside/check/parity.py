"""Measures a service's answers against torch's, in its final image.

`SLIMBAKE_PARITY` names the file in the build context that asks the service's own code: `embed(texts)` and
`ids(texts)` of a model that embeds; `generate(prompt, n)`, `logprobs(ids)` and `ids(texts)` of one
that generates. `SLIMBAKE_LIMITS` is JSON: the limits of the figures.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..step import INSIDE
from .agreement import agreement_of_embeddings, agreement_of_generations, judge
from .levels import load_check
from .surroundings import become_nonroot, settle
from .turn import turn

CONTEXT = INSIDE / "context"
TIME_LIMIT = 900.0  # seconds in all; the stack of a check that hangs is printed
BATCH = 16  # texts that are embedded at once


class ParityError(Exception):
    """The service's answers cannot be compared."""


@turn()
def run_parity(arguments: Sequence[str]) -> int:
    """The program `parity REFERENCE OUT [--as-nonroot] [--context FOLDER]`: OUT gets the figures.

    `--as-nonroot`: read the files as root, since their modes may exclude others, and run the service as 65532.
    """
    parser = argparse.ArgumentParser(prog="parity")
    parser.add_argument("reference", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--as-nonroot", action="store_true")
    parser.add_argument("--context", type=Path, default=CONTEXT)
    given = parser.parse_args(arguments)
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    sys.path[0] = str(Path.cwd())  # the service's code, as `python -m` has it
    name = os.environ["SLIMBAKE_PARITY"]
    try:
        source = (given.context / name).read_bytes().decode("latin-1")
        reference = json.loads(given.reference.read_text(encoding="ascii"))
        with given.out.open("w", encoding="ascii") as out:
            if given.as_nonroot:
                settle(os.environ)
                become_nonroot()
            os.dup2(2, 1)  # a build's log mixes up two streams
            service = load_check({"name": name, "source": source}, "parity_of_service")
            figures = measure_answers(service, reference, json.loads(os.environ["SLIMBAKE_LIMITS"]))
            json.dump(figures, out, sort_keys=True)
            out.write("\n")
            return int(not figures["holds"])
    except ParityError as error:
        print(f"parity: {error}", file=sys.stderr)
    except (Exception, SystemExit):  # a file that exits, even with 0, has not answered
        traceback.print_exc()
        print(f"parity: {name} could not be run", file=sys.stderr)
    return 1


def measure_answers(
    service: ModuleType, reference: Mapping[str, Any], limits: Mapping[str, float]
) -> dict[str, Any]:
    """The figures, which are printed too; `holds`: whether all limits are kept.

    Raises ParityError for answers that cannot be compared.
    """
    started = time.perf_counter()
    task = reference["task"]
    measure, functions = MEASURES[task]
    missing = [f"{name}()" for name in functions if not callable(getattr(service, name, None))]
    if missing:
        raise ParityError(f"{os.environ['SLIMBAKE_PARITY']} defines no {', '.join(missing)}")
    strings = reference["strings"]
    answers = list(service.ids(list(strings)))
    _must_be_as_many(answers, strings, "ids(texts)", "lists")
    different = []
    for text, answer, ids in zip(strings, answers, reference["ids"], strict=True):
        if list(map(int, answer)) != ids:
            different.append(text)
    figures = {
        "task": task,
        "strings": len(strings),
        "limits": dict(limits),
        **measure(service, reference),
        "different": different,
    }
    verdict = judge(task, figures, limits)
    figures["seconds"] = round(time.perf_counter() - started, 2)
    figures["holds"] = all(line.holds for line in verdict)
    numbers = {key: figure for key, figure in figures.items() if key not in ("worst", "different")}
    print(json.dumps(numbers))
    for case in figures["worst"]:
        print(f"  {case}")
    for judged in verdict:
        print(f"parity: {judged.words}")
    return figures


def _embedding(service: ModuleType, reference: Mapping[str, Any]) -> dict[str, Any]:
    texts: list[str] = reference["texts"]
    vectors: list[list[float]] = []
    for first in range(0, len(texts), BATCH):  # several at once, so that padding matters
        batch = texts[first : first + BATCH]
        answers = [list(map(float, vector)) for vector in service.embed(batch)]
        _must_be_as_many(answers, batch, "embed(texts)", "vectors")
        vectors += answers
    size = len(reference["vectors"][0])
    wrong = {len(vector) for vector in vectors} - {size}
    if wrong:
        raise ParityError(f"vectors of {sorted(wrong)} numbers, where torch's have {size}")
    return agreement_of_embeddings(reference, vectors)


def _generation(service: ModuleType, reference: Mapping[str, Any]) -> dict[str, Any]:
    greedy = []
    for prompt in reference["prompts"]:
        answer = service.generate(prompt["text"], reference["tokens"])
        greedy.append(list(map(int, answer)))
    logprobs = []
    for passage in reference["passages"]:
        answer = list(map(float, service.logprobs(list(passage["ids"]))))
        _must_be_as_many(answer, passage["ids"][1:], "logprobs(ids)", "numbers")
        logprobs.append(answer)
    return agreement_of_generations(reference, greedy, logprobs)


MEASURES = {
    "embedding": (_embedding, ("embed", "ids")),
    "generation": (_generation, ("generate", "logprobs", "ids")),
}


def _must_be_as_many(
    answers: Sequence[Any], questions: Sequence[Any], what: str, noun: str
) -> None:
    if len(answers) != len(questions):
        raise ParityError(f"{what} gave {len(answers)} {noun}, and {len(questions)} are wanted")
