"""Which passes one layer carries: those that lose nothing, those that take what no image on it can
use, and, where the manifest opts in, those that fresh evidence shows to hold. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from slimbake.catalogue.model import Applied, Condition, Guarantee, Pass
from slimbake.config.model import DEFAULT_OPTIMIZE, LEVELS, Optimize
from slimbake.evidence.model import Evidence, Finding, Question, stale_evidence


@dataclass(frozen=True, slots=True)
class Dropped:
    """A pass that a layer would carry, and does not."""

    layer: str
    name: str
    guarantee: Guarantee
    why: str
    bytes: int  # that it saved there, alone, when it was tried
    stale: bool  # to prove it again may bring it back

    def __str__(self) -> str:
        return f"{self.name} on {self.layer}: {self.why}"


def losses(dropped: Iterable[Dropped]) -> tuple[str, ...]:
    """What layers lost, in a line for each layer and reason."""
    together: dict[tuple[str, str], list[Dropped]] = {}
    for each in dropped:
        together.setdefault((each.layer, each.why), []).append(each)
    return tuple(
        f"{layer} lost {', '.join(each.name for each in lost)}"
        f" (up to {sum(each.bytes for each in lost) / 1e6:.1f} MB): {why}"
        + ("; `slimbake prove --stale` renews it" if lost[0].stale else "")
        for (layer, why), lost in together.items()
    )


@dataclass(frozen=True, slots=True)
class LayerAnswer:
    """What evidence has to answer for one layer of packages, and what it says."""

    question: Question
    wanted: Optimize  # with the fleet's, where the layer's own says nothing
    evidence: Evidence | None
    met: frozenset[Condition] = frozenset()  # the conditions that are so in every image on it

    @property
    def none(self) -> bool:
        """Whether the layer is to carry no pass."""
        return self.wanted.level == "none"

    def allows(self, guarantee: Guarantee) -> bool:
        """Whether the manifest opts in to passes of this guarantee."""
        level = self.wanted.level or DEFAULT_OPTIMIZE
        return LEVELS.index(guarantee) <= LEVELS.index(level)

    def default(self, each: Pass) -> bool:
        """Whether the layer carries a pass without evidence."""
        return each.by_default(self.met)

    def found(self, each: Pass) -> Finding | None:
        """What the evidence says of a pass, stale or not."""
        return self.evidence.passes.get(each.name) if self.evidence else None

    def stale(self, each: Pass) -> str:
        """Why the evidence does not answer for a pass any more; "" while it does."""
        return stale_evidence(self.question, self.evidence, each)

    def proven(self, each: Pass) -> bool:
        """Whether the evidence says that a pass holds, stale or not."""
        found = self.found(each)
        return found is not None and found.verdict == "proven"

    def why_not(self, each: Pass) -> str:
        """Why the layer does not carry a pass that applies to it; "" where it does."""
        found, unchecked = self.found(each), self.question.unchecked
        if self.none:
            return "`optimize: none`"
        if each.name in self.wanted.without:
            return "`optimize` leaves it out"
        if found and found.verdict == "refuted" and not self.stale(each):
            return f"{found.service or 'it'} fails at {found.level}"
        if self.default(each):
            return ""
        if not self.allows(each.guarantee):
            return f"needs `optimize: {each.guarantee}`"
        if unchecked:
            return f"no smoke: {', '.join(unchecked)}"
        if why := self.stale(each):
            return why
        return "" if self.proven(each) else "it changes nothing"


def selected(
    answer: LayerAnswer, passes: Iterable[Pass]
) -> tuple[tuple[Applied, ...], tuple[Dropped, ...]]:
    """What a layer carries, by name, and what it carried before or would carry by default."""
    carries, dropped = [], []
    for each in passes:
        # What stands in the manifest was decided by a person: nobody is told of it.
        if not answer.none and each.name not in answer.wanted.without:
            why, default = answer.why_not(each), answer.default(each)
            expected = default or (answer.allows(each.guarantee) and answer.proven(each))
            # Fresh evidence and an opt-in take the whole pass, not what the conditions allow alone.
            fresh = answer.proven(each) and not answer.stale(each) and not answer.question.unchecked
            within = default and not (fresh and answer.allows(each.guarantee))
            if not why and (applied := each.applied(answer.question.pins, unusable=within)):
                carries.append(applied)
            elif why and expected and each.applies(answer.question.pins):
                saved = found.bytes if (found := answer.found(each)) else 0
                layer = answer.question.layer
                stale = why == answer.stale(each)
                dropped.append(Dropped(layer, each.name, each.guarantee, why, saved, stale))
    kept = sorted(needed_passes(carries), key=lambda each: each.name)
    return tuple(kept), tuple(dropped)


def needed_passes(carries: Collection[Applied]) -> Iterator[Applied]:
    """Passes less those that strip less of what another one strips: each would read and write every
    file.
    """
    strong = [each for each in carries if each.strip == "unneeded"]
    for each in carries:
        if each.strip != "debug" or not any(_covers(other, each) for other in strong):
            yield each


def _covers(strong: Applied, weak: Applied) -> bool:
    return {*weak.packages} <= {*strong.packages} and {*strong.keep} <= {*weak.keep}
