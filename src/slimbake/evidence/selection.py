"""Which passes one layer carries: those that lose nothing, those that take what no image on it can
use, and, where the manifest opts in, those that fresh evidence shows to hold. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from slimbake.catalogue.model import Applied, Condition, Guarantee, Pass
from slimbake.config.model import DEFAULT_OPTIMIZE, LEVELS, Optimize, Pairs
from slimbake.console.tables import some
from slimbake.evidence.model import Evidence, Finding, Question, stale_evidence

_NAMED = 20  # services, in a line


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
    """What evidence has to answer for one layer of packages on one platform, and what it says."""

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

    def fresh(self, each: Pass) -> Finding | None:
        """What the evidence says of a pass, where it still answers."""
        return None if self.stale(each) else self.found(each)

    def status(self, each: Pass) -> str:
        """What evidence of this platform says of a pass, and where to find out what it does not."""
        platform = self.question.platform
        if found := self.fresh(each):
            return f"{found.verdict} for {platform}"
        state = f"stale ({self.stale(each)})" if self.found(each) else "missing"
        return f"{platform} is {state}: run `{self.renewal(each)}` on such a machine"

    def renewal(self, each: Pass) -> str:
        """The command that makes the evidence answer for a pass."""
        stale = "--stale" if self.found(each) else ""
        platform = f"--platform {self.question.platform}" if self.question.several else ""
        return " ".join(filter(None, ("slimbake prove", stale, platform)))


def why_not(answers: Sequence[LayerAnswer], each: Pass) -> str:
    """Why a layer does not carry a pass that applies to it; "" where it does. `answers`: one for
    each platform that the layer is built for.
    """
    first = answers[0]
    if first.none:
        return "`optimize: none`"
    if each.name in first.wanted.without:
        return "`optimize` leaves it out"
    found = [(answer.question, fresh) for answer in answers if (fresh := answer.fresh(each))]
    for question, finding in found:
        if finding.verdict == "refuted":
            return f"{finding.service or 'it'} fails at {finding.level}{_on(question)}"
    if first.default(each):
        return ""
    if not first.allows(each.guarantee):
        return f"needs `optimize: {each.guarantee}`"
    if unchecked := dict.fromkeys(name for one in answers for name in one.question.unchecked):
        return f"no smoke: {some(tuple(unchecked), _NAMED)}"
    for question, finding in found:
        if finding.verdict == "idle":
            return f"it changes nothing{_on(question)}"
    return why_stale(answers, each)


def _on(question: Question) -> str:
    return f" on {question.platform}" if question.several else ""


def why_stale(answers: Sequence[LayerAnswer], each: Pass) -> str:
    """Why evidence does not answer for a pass on every platform of a layer; "" while it does."""
    reasons = [answer.stale(each) for answer in answers]
    if len({*reasons}) == 1:
        return reasons[0]
    known_first = sorted(answers, key=lambda answer: answer.fresh(each) is None)
    return "; ".join(answer.status(each) for answer in known_first)


def verdict(answers: Sequence[LayerAnswer], each: Pass) -> str:
    """What evidence says of a pass on a layer, stale or not, for each of its platforms."""
    return ", ".join(
        f"{found.verdict}{'' if one.fresh(each) else ' (stale)'}{_on(one.question)}"
        for one in answers
        if (found := one.found(each))
    )


def selected(
    answers: Sequence[LayerAnswer], passes: Iterable[Pass]
) -> tuple[tuple[Applied, ...], tuple[Dropped, ...]]:
    """What a layer carries, by name, and what it carried before or would carry by default.
    `answers`: one for each platform that it is built for.
    """
    carries, dropped = [], []
    answer, question = answers[0], answers[0].question
    for each in passes:
        # What stands in the manifest was decided by a person: nobody hears of it.
        if not answer.none and each.name not in answer.wanted.without:
            why, default = why_not(answers, each), answer.default(each)
            allowed = answer.allows(each.guarantee)
            proven = [one for one in answers if one.proven(each)]
            # Fresh evidence and an opt-in take the whole pass, not what the conditions allow alone.
            whole = allowed and all(
                one in proven and one.fresh(each) and not one.question.unchecked for one in answers
            )
            within = default and not whole
            if not why and (applied := each.applied(question.pins, unusable=within)):
                carries.append(applied)
            elif why and (default or (allowed and proven)) and each.applies(question.pins):
                tried = (one.found(each) for one in (*proven, *answers))
                saved = next((found.bytes for found in tried if found), 0)
                stale = why == answer.stale(each)
                dropped.append(
                    Dropped(question.layer, each.name, each.guarantee, why, saved, stale)
                )
    return _kept(carries), tuple(dropped)


def by_default(
    passes: Iterable[Pass], pins: Pairs, met: frozenset[Condition], without: tuple[str, ...]
) -> tuple[Applied, ...]:
    """What a layer of which there is no evidence carries, by name: `selected` says the same."""
    default = (each for each in passes if each.name not in without and each.by_default(met))
    return _kept(filter(None, (each.applied(pins, unusable=True) for each in default)))


def _kept(carries: Iterable[Applied]) -> tuple[Applied, ...]:
    return tuple(sorted(needed_passes(tuple(carries)), key=lambda each: each.name))


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
