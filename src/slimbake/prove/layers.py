"""Tries the passes of one layer: each alone, then all together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slimbake.catalogue.model import Pass
from slimbake.evidence import FOLDER, committed
from slimbake.evidence.model import Evidence, Finding, Question, stale
from slimbake.images import this_platform
from slimbake.prove.ablation import Candidate, Weighed, ablated, matching_nothing
from slimbake.prove.kept import Kept
from slimbake.prove.trial import Subject
from slimbake.prove.trials import Trials
from slimbake.prove.weigh import weigh
from slimbake.state import write_atomically

Say = Callable[[str], None]
KEPT = ".slimbake/trials"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of packages while its passes are tried."""

    question: Question
    evidence: Evidence
    weighed: Mapping[str, Weighed]  # of every pass that applies, by its name
    new: frozenset[str]  # the passes that were tried now

    @property
    def proven(self) -> tuple[str, ...]:
        return tuple(name for name, finding in sorted(self.evidence.passes.items()) if finding.verdict == "proven")

    def with_findings(self, findings: Mapping[str, Finding]) -> Layer:
        """The layer with more said of some passes."""
        return replace(self, evidence=replace(self.evidence, passes={**self.evidence.passes, **findings}))

    def taken_back(self) -> Layer:
        """The layer without what was found now."""
        known = {name: finding for name, finding in self.evidence.passes.items() if name not in self.new}
        return replace(self, evidence=replace(self.evidence, passes=known), new=frozenset())


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
) -> Layer:
    """Try the passes that apply to a layer with every smoke on it, each alone, then all that hold together.

    `unpruned`: the digest of the layer without passes; `names`: only these; `only_stale`: only those without fresh
    evidence. The others stay as they were found, if that is fresh. Raises SetupError where the engine fails; the
    same call goes on from there.
    """
    before = committed(root, question.layer)
    applying = {each.name: (each, applied) for each in passes if (applied := each.applied(question.pins))}
    fresh = {n: before.passes[n] for n, (each, _) in applying.items() if before and not stale(question, before, each)}
    known = {n: found for n, found in fresh.items() if (only_stale or names) and n not in names}
    wanted = [n for n in applying if n not in known and (only_stale or not names or n in names)]
    trying = [subjects[name] for name in question.checks]
    say(f"{question.layer}: {len(wanted)} passes, {len(known)} known, with the smokes of {', '.join(question.checks)}")
    weighed = dict(zip(applying, weigh(trying[0], [a for _, a in applying.values()]), strict=True)) if wanted else {}
    trials = Trials(trying, Kept(root / KEPT), lambda line: say(f"{question.layer}: {line}"))
    found = ablated(
        [Candidate(*applying[name], weighed[name]) for name in wanted],
        trials,
        tuple(applying[name][1] for name, finding in known.items() if finding.verdict == "proven"),
    )
    for name in matching_nothing(found):
        near = f"; did you mean {weighed[name].near}?" if weighed[name].near else ""
        say(f"{question.layer}: {name} matches nothing{near}")
    evidence = Evidence(
        layer=question.layer,
        platform=this_platform(),
        inputs=question.inputs,
        unpruned=unpruned,
        checks=dict(question.checks),
        passes={**known, **found},
    )
    return Layer(question, evidence, weighed, frozenset(wanted))


def write(layers: Sequence[Layer], root: Path) -> None:
    """Put what was found into the repository."""
    for layer in layers:
        write_atomically(root / FOLDER / f"{layer.question.layer}.json", layer.evidence.text().encode())
