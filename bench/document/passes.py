"""What evidence says of passes: all together over layers, and layer by layer. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slimbake.catalogue.model import Pass
from slimbake.console.tables import UNMEASURED
from slimbake.evidence.model import Evidence, Finding, saves, stale_evidence
from slimbake.proof.report import cause

from .cells import code, mb, small, table
from .inputs import Inputs, Layer

TRY = "`slimbake prove`"


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one pass on this fleet."""

    verdict: str
    bytes: int | None = None  # that it saves, or would, on all layers together
    zstd: int | None = None
    words: str = ""  # why


def found(name: str, inputs: Inputs) -> Found:
    """A pass that changes layers, over all layers that it applies to."""
    each = next((each for each in inputs.passes if each.name == name), None)
    if each is None:
        return Found(UNMEASURED, words=f"the catalogue has no {name} any more")
    applying = [layer for layer in inputs.layers if each.applies(layer.pins)]
    if not applying:
        return Found("applies to nothing here", words=reason(each, inputs))
    known = {layer.name: finding for layer in applying if (finding := _fresh(each, layer))}
    tried = {name: finding for name, finding in known.items() if finding.verdict != "idle"}
    if not tried:
        return _idle(known, len(applying))
    refuted = {name: finding for name, finding in tried.items() if finding.verdict == "refuted"}
    proven = {name: finding for name, finding in tried.items() if finding.verdict == "proven"}
    counted = proven or refuted
    words = "; ".join(f"{layer}: {_failed(finding)}" for layer, finding in refuted.items())
    whole = not refuted and len(known) == len(applying)
    some = f"proven on {', '.join(proven)}" + (", else refuted" if refuted else "")
    return Found(
        verdict="proven" if whole else some if proven else "refuted",
        bytes=sum(finding.bytes for finding in counted.values()),
        zstd=sum(finding.zstd for finding in counted.values()),
        words="; ".join(filter(None, (words, _missing(len(applying) - len(known))))),
    )


def _idle(known: dict[str, Finding], applying: int) -> Found:
    if not known:
        return Found(UNMEASURED, words=f"run {TRY}")
    files, size = sum(f.files for f in known.values()), sum(f.bytes for f in known.values())
    words = "saves nothing compressed" if files else "nothing that it names is there"
    zstd = sum(finding.zstd for finding in known.values())
    verdict = UNMEASURED if len(known) < applying else "idle"
    return Found(
        verdict, size, zstd, "; ".join(filter(None, (words, _missing(applying - len(known)))))
    )


def _missing(count: int) -> str:
    return f"{UNMEASURED} on {count} more layer{'s' if count > 1 else ''}" if count else ""


def _fresh(each: Pass, layer: Layer) -> Finding | None:
    return (
        layer.evidence.passes[each.name]
        if layer.evidence and not stale_evidence(layer.question, layer.evidence, each)
        else None
    )


def _failed(finding: Finding) -> str:
    where = f"{finding.service} {finding.level}".strip()
    return ": ".join(filter(None, (where, code(cause(finding.error)))))


def reason(each: Pass, inputs: Inputs) -> str:
    """Why a pass applies to no layer of this fleet."""
    wanted = dict.fromkeys(each.drop, "") | dict(each.packages)
    locked = {name: version for layer in inputs.layers for name, version in layer.pins}
    others = [
        f"{name} is {locked[name]}, not {wanted[name]}" for name in sorted(wanted) if name in locked
    ]
    return ", ".join(others) or f"no layer has {', '.join(sorted(wanted)) or 'packages'}"


def returns(inputs: Inputs) -> str:
    """Every pass by what it saves compressed, layer by layer."""
    parts = [
        (
            "Saved are bytes of the files that a pass removes or changes, alone; zstd: of these"
            " files compressed by themselves. Where two passes take one file both have it; *beside"
            " all others* is what goes with that pass alone. How this was found:"
            " [proofs](../proving.md)."
        ),
        *(part for layer in inputs.layers for part in _layer(layer, inputs)),
        *_nowhere(inputs),
    ]
    return "\n\n".join(parts)


def _layer(layer: Layer, inputs: Inputs) -> Iterator[str]:
    yield f"## {layer.name}"
    evidence = layer.evidence
    if evidence is None:
        yield f"{UNMEASURED}: run {TRY}"
        return
    known = {each.name: f for each in inputs.passes if (f := _fresh(each, layer))}
    ranked = dict(sorted(known.items(), key=lambda item: (-item[1].zstd, item[0])))
    yield _summary(evidence, known)
    if rows := [_proven(name, f, inputs) for name, f in ranked.items() if f.verdict == "proven"]:
        yield table(
            ("proven", "files", "saves", "zstd", "beside all others", "costs", "without it"), rows
        )
    if rows := [
        _refuted(name, finding) for name, finding in ranked.items() if finding.verdict == "refuted"
    ]:
        yield table(("refuted", "would save", "zstd", "what failed", "cause"), rows)
    idle = {name: finding for name, finding in sorted(known.items()) if finding.verdict == "idle"}
    untried = [
        e.name for e in inputs.passes if e.carried and e.applies(layer.pins) and e.name not in known
    ]
    for words, names in (
        (
            "Nothing that they name is there",
            [name for name, finding in idle.items() if not finding.files],
        ),
        ("Save nothing compressed", [name for name, finding in idle.items() if finding.files]),
        (f"{UNMEASURED.capitalize()}, run {TRY}", untried),
    ):
        if names:
            yield f"{words}: {', '.join(names)}."


def _summary(evidence: Evidence, known: dict[str, Finding]) -> str:
    counts = [finding.verdict for finding in known.values()]
    size, zstd = saves(known.values())
    return (
        f"With the smokes of {', '.join(evidence.checks)}, for {evidence.platform}:"
        f" {counts.count('proven')} proven, {counts.count('refuted')} refuted,"
        f" {counts.count('idle')} change nothing. Added up, each alone, the proven ones save"
        f" {mb(size)} MB, {mb(zstd)} MB as zstd."
    )


def _proven(name: str, finding: Finding, inputs: Inputs) -> tuple[str, ...]:
    costs = next(each.costs for each in inputs.passes if each.name == name)
    said = finding.error.strip()
    without = (
        f"{said.partition(': ')[0].removeprefix('without it, ')}: {code(cause(said))}"
        if said
        else ""
    )
    beside = UNMEASURED if finding.marginal is None else small(finding.marginal)
    return (
        name,
        str(finding.files),
        small(finding.bytes),
        small(finding.zstd),
        beside,
        costs,
        without,
    )


def _refuted(name: str, finding: Finding) -> tuple[str, ...]:
    where = f"{finding.service} {finding.level}".strip()
    return name, small(finding.bytes), small(finding.zstd), where, code(cause(finding.error))


def _nowhere(inputs: Inputs) -> Iterator[str]:
    rows = [
        (each.name, reason(each, inputs))
        for each in inputs.passes
        if each.carried and not any(each.applies(layer.pins) for layer in inputs.layers)
    ]
    if rows:
        yield "## Passes that apply to nothing here"
        yield table(("pass", "why"), rows)
