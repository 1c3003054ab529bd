"""One layer's passes, tried: each alone, all together, all but each. Which trials those are is decided here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slimbake.catalogue.model import Applied, Pass
from slimbake.evidence.model import Finding

Passes = tuple[Applied, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pass that applies to the layer, and what it saves there by itself."""

    each: Pass
    applied: Applied
    files: int
    bytes: int
    zstd: int
    error: str = ""  # it cannot be applied


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of trying passes with every check on the layer."""

    bytes: int  # that they save together
    service: str = ""  # whose check failed; "" = all held
    level: str = ""
    error: str = ""


Ask = Callable[[Sequence[tuple[str, Passes]]], Sequence[Tried]]
"""Tries several sets of passes, as many at once as the machine bears; each is named for whoever watches."""


def ablated(candidates: Sequence[Candidate], ask: Ask) -> dict[str, Finding]:
    """What is found out about each pass, by its name.

    Proven are those that hold alone and with all other proven ones, and save bytes compressed. One that holds alone
    and fails in company is refuted with what failed; of two that do so together, the one that saves less.
    """
    found: dict[str, Finding] = {}
    trying = []
    for candidate in candidates:
        if candidate.error:
            found[candidate.each.name] = _finding(candidate, "refuted", Tried(0, level="apply", error=candidate.error))
        elif not candidate.files:
            found[candidate.each.name] = _finding(candidate, "idle", Tried(0))
        else:
            trying.append(candidate)
    alone = ask([(f"{c.each.name} alone", (c.applied,)) for c in trying])
    held = []
    for candidate, tried in zip(trying, alone, strict=True):
        if tried.level:
            found[candidate.each.name] = _finding(candidate, "refuted", tried)
        elif candidate.zstd <= 0:
            found[candidate.each.name] = _finding(candidate, "idle", tried)
        else:
            held.append(candidate)
    held.sort(key=lambda candidate: (-candidate.zstd, candidate.each.name))
    together, refuted = _in_company(held, ask)
    found |= {c.each.name: _finding(c, "refuted", tried, f"with others: {tried.error}") for c, tried in refuted}
    others = ask([(f"all but {c.each.name}", _passes(together, c)) for c in together]) if len(together) > 1 else ()
    whole = ask([("all", _passes(together))])[0].bytes if together else 0
    marginal = {c.each.name: whole - tried.bytes for c, tried in zip(together, others, strict=False) if not tried.level}
    needs = {c.each.name: tried.error for c, tried in zip(together, others, strict=False) if tried.level}
    for candidate in together:
        name = candidate.each.name
        found[name] = _finding(
            candidate,
            "proven",
            Tried(0),
            needs.get(name, ""),
            marginal.get(name, candidate.bytes if not others else None),
        )
    return found


def _in_company(held: list[Candidate], ask: Ask) -> tuple[list[Candidate], list[tuple[Candidate, Tried]]]:
    """The passes that hold together, and those that do not with the ones before them: found by halving."""
    refuted: list[tuple[Candidate, Tried]] = []
    while held:
        tried = ask([("all together", _passes(held))])[0]
        if not tried.level:
            break
        low, high = 1, len(held)  # that many of them hold: more than low, fewer than high
        while high - low > 1:
            middle = (low + high) // 2
            half = ask([(f"the first {middle}", _passes(held[:middle]))])[0]
            low, high, tried = (middle, high, tried) if not half.level else (low, middle, half)
        refuted.append((held.pop(high - 1), tried))
    return held, refuted


def _passes(candidates: Sequence[Candidate], less: Candidate | None = None) -> Passes:
    return tuple(sorted((c.applied for c in candidates if c is not less), key=lambda applied: applied.name))


def _finding(candidate: Candidate, verdict: str, tried: Tried, error: str = "", marginal: int | None = None) -> Finding:
    return Finding(
        digest=candidate.each.digest,
        verdict=verdict,  # type: ignore[arg-type]
        files=candidate.files,
        bytes=candidate.bytes,
        zstd=candidate.zstd,
        marginal=marginal,
        service=tried.service,
        level=tried.level,
        error=error or tried.error,
    )


def matching_nothing(found: Mapping[str, Finding]) -> tuple[str, ...]:
    """The passes that change nothing on the layer though they apply to it."""
    return tuple(name for name, finding in sorted(found.items()) if finding.verdict == "idle" and not finding.files)
