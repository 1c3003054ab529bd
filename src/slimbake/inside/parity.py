"""Measures a service's answers against torch's, in its final image: `python parity.py REFERENCE OUT`.

`PARITY` names the file in the build context that asks the service's own code: of a model that embeds `embed(texts)`
and `ids(texts)`, of one that generates `generate(prompt, n)`, `logprobs(ids)` and `ids(texts)`. `LIMITS` is JSON: what
the figures must keep. OUT gets the figures. With `--control HARM` the model in WEIGHTS is harmed in that way, and it
fails where all limits are kept. `--as-nonroot` reads these files as root, whatever their modes, and asks as 65532.
Standard library only.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from .agreement import embeddings, generations, judged, worst
    from .smoke import become_nonroot
else:
    from agreement import embeddings, generations, judged, worst

    from smoke import become_nonroot

CONTEXT = Path(os.environ.get("PARITY_CONTEXT", "/inside/context"))
TIME_LIMIT = float(os.environ.get("PARITY_TIME_LIMIT", "900"))  # seconds in all; what hangs shows where
BATCH = 16  # texts that are embedded at once
WEIGHTS = Path("/weights")
WITHOUT = "without"  # in place of a model that cannot be harmed so: why
FUNCTIONS = {"embedding": ("embed", "ids"), "generation": ("generate", "logprobs", "ids")}


class ParityError(Exception):
    """The service's answers cannot be compared."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="parity")
    parser.add_argument("reference", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--control", default="")
    parser.add_argument("--as-nonroot", action="store_true")
    given = parser.parse_args()
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    sys.path[0] = str(Path.cwd())  # the service's code, as `python -m` has it, not the folder of this program
    name = os.environ["PARITY"]
    try:
        code = compile((CONTEXT / name).read_bytes(), str(CONTEXT / name), "exec")
        reference = json.loads(given.reference.read_text(encoding="ascii"))
        with given.out.open("w", encoding="ascii") as out:
            if given.as_nonroot:
                become_nonroot()
            os.dup2(2, 1)  # of two streams a build's log has no order
            if given.control and (WEIGHTS / WITHOUT).is_file():
                print(f"control: {given.control}: none, {(WEIGHTS / WITHOUT).read_text(encoding='utf-8').strip()}")
                return 0
            figures, holds = compare(asked(code), reference, json.loads(os.environ["LIMITS"]))
            json.dump(figures, out, sort_keys=True)
            out.write("\n")
            if given.control:
                print(f"control: {given.control}: {'NOT caught' if holds else 'caught'}")
            return int(holds == bool(given.control))
    except ParityError as error:
        print(f"parity: {error}", file=sys.stderr)
    except (Exception, SystemExit):  # who exits here, even with 0, has not answered
        traceback.print_exc()
        print(f"parity: {name} could not be run", file=sys.stderr)
    return 1


def asked(code: Any) -> ModuleType:
    """The file that asks the service, as a module."""
    module = ModuleType("parity_of_service")
    module.__file__ = code.co_filename
    sys.modules[module.__name__] = module
    exec(code, module.__dict__)  # noqa: S102 - the service's own file
    return module


def compare(
    service: ModuleType, reference: Mapping[str, Any], limits: Mapping[str, float]
) -> tuple[dict[str, Any], bool]:
    """The figures, said line by line, and whether all limits are kept. Raises ParityError for answers of no use."""
    started = time.perf_counter()
    task = reference["task"]
    missing = [name for name in FUNCTIONS[task] if not callable(getattr(service, name, None))]
    if missing:
        raise ParityError(f"{os.environ['PARITY']} defines no {', '.join(f'{name}()' for name in missing)}")
    strings = reference["strings"]
    ids = [list(map(int, each)) for each in service.ids(list(strings))]
    _as_many(ids, strings, "ids(texts)", "lists")
    figures = {
        "task": task,
        "strings": len(strings),
        "different": [t for t, mine, theirs in zip(strings, ids, reference["ids"], strict=True) if mine != theirs],
        "limits": dict(limits),
    }
    figures |= _embedding(service.embed, reference) if task == "embedding" else _generation(service, reference)
    figures["seconds"] = round(time.perf_counter() - started, 2)
    verdict = judged(task, figures, limits)
    holds = all(each.holds for each in verdict)
    figures["holds"] = holds
    print(json.dumps({key: value for key, value in figures.items() if key not in ("worst", "different")}))
    for line in worst(task, figures):
        print(f"  {line}")
    for each in verdict:
        print(f"parity: {each.words}")
    sys.stdout.flush()
    return figures, holds


def _embedding(embed: Callable[[list[str]], Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    texts: list[str] = reference["texts"]
    vectors: list[list[float]] = []
    for first in range(0, len(texts), BATCH):  # at once, so that padding matters
        batch = texts[first : first + BATCH]
        answers = [list(map(float, each)) for each in embed(batch)]
        _as_many(answers, batch, "embed(texts)", "vectors")
        vectors += answers
    wrong = {len(vector) for vector in vectors} - {len(reference["vectors"][0])}
    if wrong:
        raise ParityError(f"vectors of {sorted(wrong)} numbers, where torch's have {len(reference['vectors'][0])}")
    return embeddings(reference, vectors)


def _generation(service: ModuleType, reference: Mapping[str, Any]) -> dict[str, Any]:
    greedy = [list(map(int, service.generate(each["text"], reference["tokens"]))) for each in reference["prompts"]]
    logprobs = []
    for each in reference["passages"]:
        answer = list(map(float, service.logprobs(list(each["ids"]))))
        _as_many(answer, each["ids"][1:], "logprobs(ids)", "numbers")
        logprobs.append(answer)
    return generations(reference, greedy, logprobs)


def _as_many(found: Sequence[Any], wanted: Sequence[Any], what: str, noun: str) -> None:
    if len(found) != len(wanted):
        raise ParityError(f"{what} gave {len(found)} {noun}, and {len(wanted)} are wanted")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
