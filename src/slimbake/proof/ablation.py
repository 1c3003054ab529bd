"""One layer's passes, tried: each alone, then all together. Which trials those are is decided here.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from slimbake.catalogue.model import Applied, Pass
from slimbake.errors import CheckError
from slimbake.evidence.model import Finding, Verdict

Passes = tuple[Applied, ...]
_WAYS_OUT = {
    "verify": "`slimbake verify` shows whether it passes on the image as it is",
    "time": "make the check shorter, or prove where nothing else keeps the machine busy",
    "startup": (
        "what does not compile has no bytecode: ask for other versions of packages, or say"
        " `optimize: none`"
    ),
    "memory": "prove on a machine with more memory, or with a smaller check",
}


@dataclass(frozen=True, slots=True)
class Weighed:
    """Of one pass; what it removes and changes is compressed by itself, as a tar, apart from the
    rest of the layer.
    """

    files: Mapping[str, int]  # that it removes or changes: bytes that it saves of each
    zstd: int  # saved
    error: str = ""  # it cannot be applied
    near: str = ""  # where it matches nothing: what its globs may mean

    @property
    def bytes(self) -> int:
        """All that it saves."""
        return sum(self.files.values())


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pass that applies to the layer, and what it saves there by itself."""

    each: Pass
    applied: Applied
    weighed: Weighed


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of trying passes with every check on the layer."""

    service: str = ""  # whose check failed; "" = all held
    level: str = ""
    error: str = ""


class Ask(Protocol):
    """Tries several sets of passes, as many at once as the machine bears; each is named for whoever
    watches.
    """

    def __call__(
        self, sets: Sequence[tuple[str, Passes]], held_out: bool = False
    ) -> Sequence[Tried]:
        """What came of each; `held_out`: also with the checks that no search and no single pass is
        tried with.
        """


def ablated(candidates: Sequence[Candidate], ask: Ask, known: Passes = ()) -> dict[str, Finding]:
    """What is found out about each pass, by its name. `known`: other passes that are proven, here
    and on layers below.

    Proven are those that hold alone and with all other proven ones, and save bytes compressed. One
    that holds alone and fails in company is refuted with what failed; of two that do so together,
    the one that saves less. Raises CheckError where the known ones do not hold, or the checks
    without any pass.
    """
    found: dict[str, Finding] = {}
    trying = []
    for candidate in candidates:
        if candidate.weighed.error:
            found[candidate.each.name] = _finding(
                candidate, "refuted", Tried(level="apply", error=candidate.weighed.error)
            )
        elif not candidate.weighed.files:
            found[candidate.each.name] = _finding(candidate, "idle")
        else:
            trying.append(candidate)
    if trying:
        _expect_bare_to_hold(ask)
    held = []
    for candidate, tried in zip(
        trying, ask([(f"{c.each.name} alone", (c.applied,)) for c in trying]), strict=True
    ):
        if tried.level:
            found[candidate.each.name] = _finding(candidate, "refuted", tried)
        elif candidate.weighed.zstd <= 0:
            found[candidate.each.name] = _finding(candidate, "idle")
        else:
            held.append(candidate)
    held.sort(key=lambda candidate: (-candidate.weighed.zstd, candidate.each.name))
    refuted = _in_company(held, ask, known)
    found |= {
        c.each.name: _finding(c, "refuted", t, error=f"together with others: {t.error}")
        for c, t in refuted
    }
    return found | {candidate.each.name: _finding(candidate, "proven") for candidate in held}


def renewed(candidates: Sequence[Candidate]) -> dict[str, Finding]:
    """What is to be said of passes that were proven before, each by itself, and now do the same to
    other packages, if images with all of them hold. Nothing where one cannot be applied, or saves
    nothing any more.
    """
    if any(each.weighed.error or each.weighed.zstd <= 0 for each in candidates):
        return {}
    return {each.each.name: _finding(each, "proven") for each in candidates}


def _in_company(held: list[Candidate], ask: Ask, known: Passes) -> list[tuple[Candidate, Tried]]:
    """Take out of `held` what does not hold with what stands before it, found by halving; it is
    given back.
    """
    refuted: list[tuple[Candidate, Tried]] = []
    while held or known:
        tried = ask([("all together", _passes(held, known))], held_out=True)[0]
        if not tried.level:
            break
        if known and (not refuted or not held):
            _expect_to_hold(known, ask)
        if not held:  # it holds now: a check that does not always say the same
            continue
        low, high = 0, len(held)  # so many of them hold, and so many do not
        while high - low > 1:
            middle = (low + high) // 2
            half = ask([(f"the first {middle}", _passes(held[:middle], known))], held_out=True)[0]
            low, high, tried = (middle, high, tried) if not half.level else (low, middle, half)
        refuted.append((held.pop(high - 1), tried))
    return refuted


def _expect_bare_to_hold(ask: Ask) -> None:
    """No pass is to blame for what fails without any: a limit of trials, a verify that is wrong.
    Raises CheckError.
    """
    tried = ask([("without any pass", ())], held_out=True)[0]
    if tried.level:
        raise CheckError(
            f"a trial without any pass failed: {tried.service} at {tried.level}\n{tried.error}",
            _WAYS_OUT.get(
                tried.level, f"`slimbake smoke {tried.service}` shows whether its image works"
            ),
        )


def _expect_to_hold(known: Passes, ask: Ask) -> None:
    """No new pass is to blame for what was proven before and does not hold any more. Raises
    CheckError.
    """
    tried = ask([("those proven before", _passes((), known))], held_out=True)[0]
    if tried.level:
        words = "passes that were proven before failed"
        raise CheckError(
            f"{words}: {tried.service} at {tried.level}\n{tried.error}",
            "`slimbake prove` without --stale and --pass tries all of them again",
        )


def _passes(candidates: Sequence[Candidate], known: Passes) -> Passes:
    return tuple(
        sorted(
            (*(candidate.applied for candidate in candidates), *known),
            key=lambda applied: applied.name,
        )
    )


def _finding(
    candidate: Candidate, verdict: Verdict, tried: Tried = Tried(), *, error: str = ""
) -> Finding:
    return Finding(
        digest=candidate.each.digest,
        verdict=verdict,
        guarantee=candidate.each.guarantee,
        files=len(candidate.weighed.files),
        bytes=candidate.weighed.bytes,
        zstd=candidate.weighed.zstd,
        service=tried.service,
        level=tried.level,
        error=error or tried.error,
    )


def matching_nothing(found: Mapping[str, Finding]) -> tuple[str, ...]:
    """The passes that change nothing on the layer though they apply to it."""
    return tuple(
        name
        for name, finding in sorted(found.items())
        if finding.verdict == "idle" and not finding.files
    )
