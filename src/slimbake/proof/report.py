"""Evidence as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from slimbake.console.tables import FOLDED, Layout, megabytes, text_table
from slimbake.evidence.model import Evidence, Finding, saves
from slimbake.proof.model import Caught, Compared

HEADINGS = (
    "pass",
    "guarantee",
    "verdict",
    "files",
    "saves",
    "zstd *",
    "beside all others",
    "what failed",
)
NOTE = "* the files that a pass removes or changes, compressed by themselves"


def evidence_tables(found: Iterable[Evidence], layout: Layout = FOLDED) -> str:
    """A table for each layer, the passes that save most first."""
    tables = (
        f"{each.layer}\n{text_table(HEADINGS, rows(each), 3, layout)}\n{proof_summary(each)}"
        for each in found
    )
    return "\n\n".join((*tables, NOTE))


def rows(evidence: Evidence) -> list[tuple[str, ...]]:
    """A row for each pass."""
    order = {"proven": 0, "refuted": 1, "idle": 2}
    ranked = sorted(
        evidence.passes.items(), key=lambda item: (order[item[1].verdict], -item[1].zstd, item[0])
    )
    return [_row(name, finding) for name, finding in ranked]


def _row(name: str, finding: Finding) -> tuple[str, ...]:
    beside = "" if finding.marginal is None else megabytes(finding.marginal)
    failed = ": ".join(
        filter(None, (f"{finding.service} {finding.level}".strip(), cause(finding.error)))
    )
    return (
        name,
        finding.guarantee or "-",
        finding.verdict,
        str(finding.files),
        megabytes(finding.bytes),
        megabytes(finding.zstd),
        beside,
        failed,
    )


def cause(error: str) -> str:
    """The line of an error that says most: the last one that names an error, else the last."""
    said = error.strip().splitlines()
    return next(
        (line for line in reversed(said) if "Error" in line or "error" in line),
        said[-1] if said else "",
    ).strip()


def proof_summary(evidence: Evidence) -> str:
    """What the proven passes of a layer save, each by itself."""
    counts = [f.verdict for f in evidence.passes.values()]
    size, zstd = saves(evidence.passes.values())
    return (
        f"{counts.count('proven')} proven, {counts.count('refuted')} refuted,"
        f" {counts.count('idle')} change nothing\n"
        f"added up, the proven ones save {megabytes(size)}, {megabytes(zstd)} as zstd"
    )


def control_table(caught: Iterable[Caught], layout: Layout = FOLDED) -> str:
    """What each smoke made of what was broken, and what to add to those that did not notice."""
    rows = [(each.service, each.control.name, each.words, each.advice) for each in caught]
    return text_table(("service", "control", "caught at", "what to add"), rows, 4, layout)


def control_fault(caught: Iterable[Caught]) -> str:
    """Whose smoke is too weak, and of whose that is not known; "" where every control was caught."""
    missed = [each for each in caught if not each.held]
    weak = dict.fromkeys(each.service for each in missed if not each.undecided)
    unknown = dict.fromkeys(each.service for each in missed if each.undecided)
    words = [f"too weak: {', '.join(weak)}"] * bool(weak)
    words += [f"not known, since trials ran out of time or memory: {', '.join(unknown)}"] * bool(
        unknown
    )
    return "; ".join(words)


def sample_table(compared: Iterable[Compared], layout: Layout = FOLDED) -> str:
    """What was found out again of the evidence."""
    rows = [(each.layer, each.name, each.differs or "as in the evidence") for each in compared]
    return text_table(("layer", "pass", "found now"), rows, 3, layout)
