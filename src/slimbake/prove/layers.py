"""Proves the passes of one layer after the other, and commits what was found as evidence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from slimbake.catalogue.model import Pass
from slimbake.evidence import FOLDER, committed
from slimbake.evidence.model import Evidence, Question, stale
from slimbake.images import this_platform
from slimbake.prove.ablation import Candidate, ablated, matching_nothing
from slimbake.prove.kept import Kept
from slimbake.prove.trial import Subject
from slimbake.prove.trials import Trials
from slimbake.prove.weigh import weigh
from slimbake.state import write_atomically

Say = Callable[[str], None]
KEPT = ".slimbake/trials"


def prove_layer(
    question: Question,
    passes: Sequence[Pass],
    subjects: Mapping[str, Subject],
    root: Path,
    say: Say,
    *,
    unpruned: str,
    names: Collection[str] = (),
    only_stale: bool = False,
) -> Evidence:
    """Try the passes that apply to a layer with every smoke on it; what was found lies in `evidence/` in the end.

    `unpruned`: the digest of the layer without passes; `names`: only these; `only_stale`: only those without fresh
    evidence. The others stay as they were found, if that is fresh. Raises SetupError where the engine fails; nothing
    is written then, and the same call goes on.
    """
    before = committed(root, question.layer)
    applying = [(each, applied) for each in passes if (applied := each.applied(question.pins))]
    fresh = {
        each.name: before.passes[each.name] for each, _ in applying if before and not stale(question, before, each)
    }
    known = {n: f for n, f in fresh.items() if (only_stale or names) and n not in names}
    asked = [
        pair for pair in applying if pair[0].name not in known and (not names or only_stale or pair[0].name in names)
    ]
    trying = [subjects[name] for name in question.checks]
    say(f"{question.layer}: {len(asked)} passes, {len(known)} known, with the smokes of {', '.join(question.checks)}")
    weighed = weigh(trying[0], [applied for _, applied in asked]) if asked else ()
    candidates = [
        Candidate(each, applied, found.files, found.bytes, found.zstd, found.error)
        for (each, applied), found in zip(asked, weighed, strict=True)
    ]
    settled = [(applied, known[each.name]) for each, applied in applying if each.name in known]
    trials = Trials(trying, Kept(root / KEPT), lambda line: say(f"{question.layer}: {line}"))
    found = ablated(candidates, trials, tuple(a for a, finding in settled if finding.verdict == "proven"))
    for name in matching_nothing(found):
        say(f"{question.layer}: {name} matches nothing")
    evidence = Evidence(
        layer=question.layer,
        platform=this_platform(),
        inputs=question.inputs,
        unpruned=unpruned,
        checks=dict(question.checks),
        passes={**known, **found},
    )
    write_atomically(root / FOLDER / f"{question.layer}.json", evidence.text().encode())
    return evidence
