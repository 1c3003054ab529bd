"""Committed evidence, found out again for a sample: what nobody measured does not survive."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimbake.catalogue.model import Applied, Pass
from slimbake.config.naming import EVIDENCE
from slimbake.console import Console
from slimbake.evidence.model import Finding, Question, answering, changed, parse_evidence
from slimbake.evidence.selection import LayerAnswer
from slimbake.host.workspace import Workspace
from slimbake.proof.ablation import Candidate, ablated
from slimbake.proof.model import Compared
from slimbake.proof.trial import Subject
from slimbake.proof.trials import Kept, Trials
from slimbake.proof.weigh import weigh

# by which compressed bytes may differ: compressors of two versions do not agree to the byte
NEARLY = 0.02


@dataclass(frozen=True, slots=True)
class Drawn:
    """One finding that is found out again."""

    question: Question
    each: Pass
    applied: Applied
    finding: Finding


def draw(
    answers: Sequence[LayerAnswer],
    passes: Sequence[Pass],
    count: int,
    seed: int,
    new: Mapping[str, Collection[str]] = {},
) -> list[Drawn]:
    """Findings of fresh evidence: all that are `new`, layer -> passes, and so many others by chance;
    the same seed draws the same.
    """
    chosen: list[Drawn] = []
    urn: list[Drawn] = []
    for answer in answers:
        for each in passes:
            applied = each.applied(answer.question.pins)
            if answer.evidence and applied and not answer.stale(each):
                finding = answer.evidence.passes[each.name]
                unseen = each.name in new.get(answer.question.layer, ())
                into = chosen if unseen else urn
                into.append(Drawn(answer.question, each, applied, finding))
    return chosen + random.Random(seed).sample(urn, min(count, len(urn)))  # noqa: S311 - no secret


def new_findings(
    answers: Sequence[LayerAnswer], before: Callable[[str], str | None]
) -> dict[str, frozenset[str]]:
    """Of each layer, the passes of which its evidence says something new. `before`: the text that a
    file of the repository had, None where there was none.
    """
    return {
        answer.question.layer: changed(
            answer.evidence,
            answering(
                answer.question, lambda name: parse_evidence(before(f"{EVIDENCE}/{name}") or "")
            ),
        )
        for answer in answers
        if answer.evidence
    }


def compared(
    drawn: Sequence[Drawn], subjects: Mapping[str, Subject], console: Console
) -> tuple[Compared, ...]:
    """Weigh and try each again, alone, with nothing that is kept. Raises SetupError."""
    found = []
    with tempfile.TemporaryDirectory(prefix="slimbake-sample-") as scratch:
        for one in drawn:
            trying = [subjects[name] for name in one.question.checks]
            (weighed,) = weigh(trying[0], (one.applied,))
            trials = Trials(trying, Kept(Workspace(Path(scratch)), "trials"), console)
            now = ablated([Candidate(one.each, one.applied, weighed)], trials)[one.each.name]
            found.append(Compared(one.question.layer, one.each.name, difference(one.finding, now)))
    return tuple(found)


def difference(before: Finding, now: Finding) -> str:
    """How a finding differs from the one that is committed; "" where it does not."""
    # alone it held
    in_company = before.verdict == "refuted" and before.error.startswith("together ")
    if before.verdict != now.verdict and not in_company:
        return f"{before.verdict} in the evidence, now {now.verdict}: {now.error.strip()[-300:]}".rstrip(
            ": "
        )
    if (before.files, before.bytes) != (now.files, now.bytes):
        return (
            f"{before.files} files and {before.bytes} bytes in the evidence, now {now.files} and"
            f" {now.bytes}"
        )
    if abs(before.zstd - now.zstd) > NEARLY * max(abs(before.zstd), abs(now.zstd), 1000):
        return f"{before.zstd} bytes compressed in the evidence, now {now.zstd}"
    return ""
