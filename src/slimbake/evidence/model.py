"""Evidence as values: what a pass saves in a layer, and whether every smoke on that layer held
without it. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from slimbake.catalogue.model import Pass
from slimbake.host.typed import WRONG, typed

Verdict = Literal["proven", "refuted", "idle"]
"""`proven`: all held, and it saves bytes compressed; `refuted`: something failed; `idle`: it
changes nothing here.
"""

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found out about one pass on one layer."""

    digest: str  # of the pass
    verdict: Verdict
    files: int  # that it removes or changes, alone
    bytes: int  # that it saves, alone
    zstd: int  # bytes that these files weigh less by, compressed by themselves: zstd 7
    marginal: int | None = None  # bytes that it saves beside all other proven passes
    service: str = ""  # whose check failed
    # apply, import, load, parity, verify, time, memory; of all passes together: together
    level: str = ""
    guarantee: str = ""  # of the pass
    inputs: str = ""  # digest of the packages that it depends on
    error: str = ""  # its last words; of a proven pass: what fails with all others and without it


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was found out about passes on one layer, on one platform."""

    layer: str  # as its lock is called
    platform: str
    inputs: str  # digest of what the layer without passes is made from: its locks, Python's version
    # digest of the layer without passes (its tar), as it was built where this was found out
    unpruned: str
    # service -> digest of its smoke, reference, verify, weights and own packages
    checks: Mapping[str, str]
    packages: str = ""  # digest of the layer's own locks and Python's version
    passes: Mapping[str, Finding] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        """The file, with a line for each pass: made to be committed and reviewed."""
        head = {
            "format": FORMAT,
            **{f.name: getattr(self, f.name) for f in fields(self) if f.name != "passes"},
        }
        lines = [
            f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}" for key, value in head.items()
        ]
        found = ",".join(
            f"\n {json.dumps(name)}: {json.dumps(_short(finding), ensure_ascii=False)}"
            for name, finding in sorted(self.passes.items())
        )
        return "{" + ",\n".join((*lines, f'"passes": {{{found}}}')) + "}\n"


def evidence_name(layer: str, platform: str = "") -> str:
    """What a file of evidence is called; `platform`: of a layer that is built for several."""
    return f"{'.'.join(filter(None, (layer, platform.replace('/', '-'))))}.json"


def answering(question: Question, read: Callable[[str], Evidence | None]) -> Evidence | None:
    """The evidence for a layer's platform. `read`: what a file holds, None where it is not there.

    The only platform of a layer also gets what was found for another one, which is stale.
    """
    found = [each for name in question.files if (each := read(name))]
    of_it = (each for each in found if each.platform == question.platform)
    return next(of_it, None if question.several else next(iter(found), None))


def changed(now: Evidence, before: Evidence | None) -> frozenset[str]:
    """The passes of which evidence says something that it did not say before. What it says of what
    it was found with is part of each.
    """
    if before is None or replace(now, passes={}) != replace(before, passes={}):
        return frozenset(now.passes)
    return frozenset(
        name for name, finding in now.passes.items() if finding != before.passes.get(name)
    )


def _short(finding: Finding) -> dict[str, Any]:
    return {key: value for key, value in asdict(finding).items() if value not in ("", None)}


def parse_evidence(text: str) -> Evidence | None:
    """Read a file of evidence; what is none, or of another format, proves nothing."""
    try:
        said = json.loads(text)
        if said.pop("format") != FORMAT:
            return None
        passes = {name: typed(Finding, finding) for name, finding in said.pop("passes").items()}
        return typed(Evidence, {**said, "passes": passes})
    except WRONG:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What evidence of a layer has to answer now, on one of the platforms that it is built for."""

    layer: str
    pins: tuple[tuple[str, str], ...]  # the layer's packages: name, version
    inputs: str
    platform: str
    checks: Mapping[str, str]  # of the services on it, for this platform, that have a smoke
    unchecked: tuple[str, ...] = ()  # services on it that have none
    several: bool = False  # the layer is built for other platforms as well
    packages: str = ""  # as evidence has it
    python: str = ""
    stack: tuple[tuple[str, str], ...] = ()  # its packages, and those of the layers below
    needs: tuple[tuple[str, str], ...] = ()  # a package, and one that it requires

    @property
    def files(self) -> tuple[str, str]:
        """What the file of its evidence is called, and what it is if the layer is, or was, built
        for more or fewer platforms.
        """
        alone, own = evidence_name(self.layer), evidence_name(self.layer, self.platform)
        return (own, alone) if self.several else (alone, own)

    def depends(self, each: Pass) -> str:
        """Changes with the packages that a pass is about, and with what these require."""
        if not each.packages:
            return self.inputs
        required: dict[str, set[str]] = {}
        for name, other in self.needs:
            required.setdefault(name, set()).add(other)
        found: set[str] = set()
        waiting = [*each.applies(self.pins)]
        while waiting:
            if (name := waiting.pop()) not in found:
                found.add(name)
                waiting += required.get(name, ())
        lines = (f"{name}=={version}" for name, version in sorted(self.stack) if name in found)
        return "sha256:" + hashlib.sha256("\n".join((self.python, *lines)).encode()).hexdigest()


def stale_evidence(question: Question, evidence: Evidence | None, each: Pass) -> str:
    """Why evidence does not answer for a pass any more; "" while it does."""
    if evidence is None or each.name not in evidence.passes:
        return "it was never tried"
    finding = evidence.passes[each.name]
    if finding.digest != each.digest:
        return "the pass has changed"
    # Evidence of older versions says only what the whole layer was.
    before, now = (
        (finding.inputs, question.depends(each))
        if finding.inputs
        else (evidence.inputs, question.inputs)
    )
    if before != now:
        return "its packages are others now"
    if evidence.platform != question.platform:
        return f"it was tried for {evidence.platform}, not for {question.platform}"
    if new := sorted(question.checks.keys() - evidence.checks.keys()):
        return f"{', '.join(new)} is new, and was not tried with it"
    if changed := sorted(
        n for n, digest in question.checks.items() if evidence.checks[n] != digest
    ):
        return f"the check of {', '.join(changed)} has changed"
    return ""


def saves(findings: Iterable[Finding]) -> tuple[int, int]:
    """Bytes and compressed bytes, each pass by itself: files that two of them remove count twice."""
    known = [finding for finding in findings if finding.verdict == "proven"]
    return sum(finding.bytes for finding in known), sum(finding.zstd for finding in known)
