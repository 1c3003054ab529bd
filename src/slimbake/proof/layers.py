"""Tries the passes of one layer: each alone, then all together."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slimbake.catalogue.model import Applied, Pass
from slimbake.config.model import Level
from slimbake.config.naming import EVIDENCE
from slimbake.console import Console
from slimbake.errors import UsageError
from slimbake.evidence.model import Evidence, Finding, Question
from slimbake.evidence.selection import LayerAnswer
from slimbake.host.files import write_atomically
from slimbake.host.workspace import Workspace
from slimbake.proof.ablation import (
    Candidate,
    Passes,
    Weighed,
    ablated,
    matching_nothing,
    renewed,
)
from slimbake.proof.trial import Subject
from slimbake.proof.trials import Kept, Trials
from slimbake.proof.weigh import weigh

TRIALS = "trials"  # in the workspace


@dataclass(frozen=True, slots=True)
class ProvenLayer:
    """One layer of packages while its passes are tried."""

    question: Question
    evidence: Evidence
    weighed: Mapping[str, Weighed]  # of every pass that applies, by its name
    # the passes that were tried now, and those of which it is not known what is without them
    new: frozenset[str]

    @property
    def proven(self) -> tuple[str, ...]:
        return tuple(
            name
            for name, finding in sorted(self.evidence.passes.items())
            if finding.verdict == "proven"
        )

    def with_findings(self, findings: Mapping[str, Finding]) -> ProvenLayer:
        """The layer with more said of some passes."""
        return replace(
            self, evidence=replace(self.evidence, passes={**self.evidence.passes, **findings})
        )


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be tried on one layer, and what is known of it."""

    question: Question
    before: Evidence | None
    # every pass that applies to the layer, by its name
    applying: Mapping[str, tuple[Pass, Applied]]
    known: Mapping[str, Finding]  # what is fresh, and not tried again
    wanted: tuple[str, ...]  # the passes that are tried
    # the passes that need no evidence, or that no evidence turns on
    free: frozenset[str] = frozenset()
    # those of the wanted that are only renewed: they were proven with other packages or checks
    proven_before: Mapping[str, Finding] = field(default_factory=dict)

    @property
    def unfinished(self) -> frozenset[str]:
        """Those of the known that were proven by a run that broke off before it asked what fails
        without them.
        """
        return frozenset(
            n
            for n, found in self.known.items()
            if found.verdict == "proven" and found.marginal is None
        )

    @property
    def new(self) -> frozenset[str]:
        """The passes of which there is something to find out."""
        return frozenset({*self.wanted, *self.unfinished})

    @property
    def weighed_before(self) -> bool:
        """Whether the evidence still says what the passes save: all of them are only renewed, and the
        layer has the same packages and proven passes. A layer below or a check may have changed.
        """
        if not self.before or self.before.packages != self.question.packages:
            return False
        proven = {n for n, found in self.before.passes.items() if found.verdict == "proven"}
        return (
            self.new <= self.proven_before.keys()
            and proven <= {*self.wanted, *self.known, *self.free}
            and all(found.marginal is not None for found in self.proven_before.values())
        )

    @property
    def settled(self) -> Evidence | None:
        """What the evidence says, less that of passes that the catalogue has no more."""
        if self.before is None:
            return None
        left = {n: found for n, found in self.before.passes.items() if n in self.applying}
        return replace(self.before, passes=left)

    @property
    def lost(self) -> tuple[str, ...]:
        """What was proven of another state of the layer: it cannot stand in one file beside what is
        tried now.
        """
        before = self.before.passes if self.before and self.wanted else {}
        left = self.applying.keys() - self.known.keys() - self.free - {*self.wanted}
        return tuple(
            sorted(name for name in left if name in before and before[name].verdict == "proven")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which passes are tried: all that the manifest opts in to, or some of them."""

    names: Collection[str] = ()  # only these, no matter what they are
    stale: bool = False  # only what was proven, and is stale
    untried: bool = False  # only what was never tried
    level: Level | None = None  # in place of what the manifest says

    def wants(self, answer: LayerAnswer, each: Pass) -> bool:
        """Whether a pass is tried on a layer that it applies to."""
        if self.names and each.name not in self.names:
            return False
        # What loses nothing is tried only by its name; others beyond what their conditions allow.
        if not self.names and (each.guarantee == "lossless" or not answer.allows(each.guarantee)):
            return False
        if not self.stale and not self.untried:
            return True
        if (found := answer.found(each)) is None:
            return self.untried
        return self.stale and found.verdict == "proven" and bool(answer.stale(each))


def work_of(answer: LayerAnswer, passes: Sequence[Pass], choice: Choice = Choice()) -> Work:
    """What is to be tried on a layer; the rest stays as it was found, if that is fresh."""
    if choice.level:
        answer = replace(answer, wanted=replace(answer.wanted, level=choice.level))
    question, before = answer.question, answer.evidence
    applying = {
        each.name: (each, applied) for each in passes if (applied := each.applied(question.pins))
    }
    wanted = tuple(n for n, (each, _) in applying.items() if choice.wants(answer, each))
    known = {
        n: before.passes[n]
        for n, (each, _) in applying.items()
        if before and n not in wanted and not answer.stale(each)
    }
    free = frozenset(
        n
        for n, (each, _) in applying.items()
        if answer.default(each) or not answer.allows(each.guarantee)
    )
    renewable = choice.stale and before and before.platform == question.platform
    passes_before = before.passes if before and renewable else {}
    renewing = {
        n: found
        for n in wanted
        if (found := passes_before.get(n)) and found.digest == applying[n][0].digest
    }
    return Work(question, before, applying, known, wanted, free, renewing)


def expect_nothing_lost(works: Sequence[Work]) -> None:
    """Raises UsageError where some passes alone are wanted, and the evidence of others would go
    with them.
    """
    if lost := {work.question.layer: work.lost for work in works if work.lost}:
        said = "; ".join(f"{layer}: {', '.join(names)}" for layer, names in lost.items())
        raise UsageError(
            f"the evidence of other proven passes is stale, and would be gone\n{said}",
            "`slimbake prove --stale` tries these too",
        )


def prove_layer(
    work: Work,
    subjects: Mapping[str, Subject],
    workspace: Workspace,
    console: Console,
    *,
    unpruned: str,
    below: Passes = (),
) -> ProvenLayer:
    """Try the passes that are wanted with every smoke on the layer, each alone, then all that hold
    together.

    `unpruned`: the digest of the layer without passes; `below`: what is proven on the layers that
    it stands on. Raises SetupError where the engine fails, and as `ablated` does; the same call
    goes on from there.
    """
    question, applying, known, wanted = work.question, work.applying, work.known, work.wanted
    trying = [subjects[name] for name in question.checks]
    console.say(
        f"{question.layer}: {len(wanted)} passes, {len(known)} known, with the smokes of"
        f" {', '.join(question.checks)}"
    )
    weighed = _weighed(work, trying[0])
    if not wanted and (settled := work.settled):
        return ProvenLayer(question, settled, weighed, work.new)
    trials = Trials(trying, Kept(workspace, TRIALS), console.under(question.layer))
    candidates = {name: Candidate(*applying[name], weighed[name]) for name in wanted}
    company = (
        *below,
        *(applying[name][1] for name, finding in known.items() if finding.verdict == "proven"),
    )
    found = ablated([*candidates.values()], trials, company)
    for name in matching_nothing(found):
        near = f"; did you mean {weighed[name].near}?" if weighed[name].near else ""
        console.say(f"{question.layer}: {name} matches nothing{near}")
    return _proven_layer(work, found, weighed, unpruned)


def renewed_layer(work: Work, bare: Subject, unpruned: str) -> ProvenLayer | None:
    """The evidence of a layer on which all that is tried was proven before, if images that are built
    with it hold; None where a pass cannot be applied, or saves nothing any more. `bare`: an image
    without passes; `unpruned`: as above. Raises SetupError.
    """
    weighed = _weighed(work, bare)
    found = renewed([Candidate(*work.applying[name], weighed[name]) for name in work.wanted])
    found = {
        name: replace(each, error=work.proven_before[name].error) for name, each in found.items()
    }
    return _proven_layer(work, found, weighed, unpruned) if found else None


def carried_layer(work: Work) -> ProvenLayer:
    """The evidence of a layer that was `weighed_before`, if images that are built with it hold."""
    unpruned = work.before.unpruned if work.before else ""
    return _proven_layer(work, work.proven_before, {}, unpruned)


def _weighed(work: Work, bare: Subject) -> dict[str, Weighed]:
    """What each pass that applies saves."""
    applied = [each for _, each in work.applying.values()]
    return dict(zip(work.applying, weigh(bare, applied), strict=True))


def _proven_layer(
    work: Work, found: Mapping[str, Finding], weighed: Mapping[str, Weighed], unpruned: str
) -> ProvenLayer:
    question = work.question
    new = {
        name: replace(finding, inputs=question.depends(work.applying[name][0]))
        for name, finding in found.items()
    }
    evidence = replace(_nothing(question, unpruned), passes={**work.known, **new})
    return ProvenLayer(question, evidence, weighed, work.new)


def settled_layer(work: Work) -> ProvenLayer:
    """The evidence of a layer with nothing to try. Its images are not built for this."""
    settled = work.settled or _nothing(work.question, "")
    return ProvenLayer(work.question, settled, {}, work.new)


def _nothing(question: Question, unpruned: str) -> Evidence:
    """Evidence of no pass."""
    return Evidence(
        layer=question.layer,
        platform=question.platform,
        inputs=question.inputs,
        unpruned=unpruned,
        checks=dict(question.checks),
        packages=question.packages,
    )


def file_of(question: Question, root: Path) -> Path:
    """Where the evidence of a layer's platform lies."""
    return root / EVIDENCE / question.files[0]


def write_evidence(question: Question, evidence: Evidence, root: Path) -> None:
    """Put what was found into the repository."""
    write_atomically(file_of(question, root), evidence.text().encode())


@contextlib.contextmanager
def unless_it_holds(questions: Sequence[Question], root: Path) -> Iterator[None]:
    """Put the evidence of layers back as it was where the block does not come to its end: images
    are built with it.
    """
    files = [file_of(question, root) for question in questions]
    before = {file: file.read_bytes() if file.is_file() else None for file in files}
    try:
        yield
    except BaseException:
        for file, content in before.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                write_atomically(file, content)
        raise
