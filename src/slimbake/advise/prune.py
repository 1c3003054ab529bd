"""What passes could still take: those that are left out, stale or untried, and what no smoke uses.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from slimbake.advise.model import (
    Advice,
    AdviceStep,
    Bound,
    Facts,
    LayerFacts,
    Saving,
    ServiceFacts,
    TriedPass,
)

STRIP = "strip.unneeded"
_NAMED = 3


def prune_advice(subject: ServiceFacts, facts: Facts) -> Iterator[Advice]:
    """What is left to prune of one image: layer by layer, then what its limits tell."""
    for layer in facts.layers:
        if layer.name in subject.layers:
            yield from _layer(layer, subject, facts)
    yield from _unused(subject, facts)


def _layer(layer: LayerFacts, subject: ServiceFacts, facts: Facts) -> Iterator[Advice]:
    proven = [each for each in layer.passes if each.finding and each.finding.verdict == "proven"]
    # the first ones are named
    proven.sort(key=lambda each: -(each.finding.bytes if each.finding else 0))
    also = tuple(name for name in layer.services if name != subject.service)
    if layer.unchecked:
        names = ", ".join(layer.unchecked)
        if layer.passes:
            steps = tuple(
                facts.at(("services", facts.subject(name).entry), "smoke: smoke.py")
                for name in layer.unchecked
            )
            what = f"{layer.name} carries no pass while {names} has no smoke"
            yield _advice(what, proven, (*steps, _prove(layer)), also, layer)
    elif layer.off:
        if layer.passes:
            steps = (facts.at(layer.off, "optimize: lossless"),)
            yield _advice(f"{layer.name} carries no pass", proven, steps, also, layer)
    else:
        stale = [each for each in proven if each.stale and not each.left_out]
        if stale:
            why = ", ".join(dict.fromkeys(each.stale for each in stale))
            what = f"{_passes(stale)} on {layer.name}, proven once, which a bake leaves out: {why}"
            yield _advice(what, stale, (AdviceStep(command="slimbake prove --stale"),), also, layer)
        untried = [each for each in layer.passes if _untried(each)]
        if untried and not stale:  # the same command tries them
            steps = (AdviceStep(command="slimbake prove --stale"),)
            what = f"{_passes(untried)} on {layer.name}, not tried as it is now"
            yield _advice(what, [], steps, also, layer, untried)
        for each in proven:
            if each.left_out and not each.stale:
                steps = (facts.at(each.left_out, "", f"take {each.carries.name} off this list"),)
                what = f"{each.carries.name} on {layer.name}, proven and left out"
                yield _advice(what, [each], steps, also, layer)


def _untried(each: TriedPass) -> bool:
    """Neither carried nor refuted by evidence that answers now."""
    return not each.left_out and (
        each.finding is None or bool(each.stale and each.finding.verdict != "proven")
    )


def _advice(
    what: str,
    known: Sequence[TriedPass],
    steps: tuple[AdviceStep, ...],
    also: tuple[str, ...],
    layer: LayerFacts,
    passes: Sequence[TriedPass] = (),
) -> Advice:
    """`known`: passes that save what was measured; `passes`: others, for what they cost."""
    found = [each.finding for each in known if each.finding]
    # Files that two passes take count in both; the largest pass, or what each takes beside all
    # others, goes at least.
    size = max(max((f.bytes for f in found), default=0), sum(f.marginal or 0 for f in found))
    packed = max((f.zstd for f in found), default=0)
    bound: Bound = "" if len(found) == 1 and found[0].marginal is None else "at least"
    costs = dict.fromkeys(each.carries.costs for each in (*known, *passes) if each.carries.costs)
    return Advice(
        kind="prune",
        what=what,
        saves=(
            (Saving("uncompressed", size, bound), Saving("compressed", packed, bound))
            if found
            else (Saving("uncompressed", None),)
        ),
        source=f"bake/evidence/{layer.name}.json"
        if found
        else "`slimbake prove` weighs and tries them",
        steps=steps,
        costs=tuple(costs),
        also=also,
    )


def _unused(subject: ServiceFacts, facts: Facts) -> Iterator[Advice]:
    """What its limits say: bytes above the runtime that no workload uses, and symbols."""
    if subject.limits is None:
        return
    together = _together(subject, facts)
    for action in subject.limits.left or ():
        if action.kind == "prune":
            what, command = (
                "files that no smoke and no verify opens",
                f"slimbake search {' '.join(together)}",
            )
            costs: tuple[str, ...] = ("every feature that no smoke uses",)
        elif action.kind == "strip":
            what, command = (
                "symbols of shared libraries",
                f"slimbake prove {subject.service} --pass {STRIP}",
            )
            costs = tuple(
                each.carries.costs for each in _of(STRIP, subject, facts) if each.carries.costs
            )[:1]
        else:
            continue
        yield Advice(
            kind="prune",
            what=what,
            saves=(Saving("uncompressed", action.bytes, "at most"),),
            source="bake/evidence/limits.json: a direction, no proof",
            steps=(AdviceStep(command=command), AdviceStep(command="slimbake prove --stale")),
            costs=costs,
            also=tuple(name for name in together if name != subject.service),
        )


def _together(subject: ServiceFacts, facts: Facts) -> tuple[str, ...]:
    """Who stands on the nearest base of a service, which a search has to name."""
    if not subject.bases:
        return (subject.service,)
    return tuple(each.service for each in facts.subjects if subject.bases[0] in each.bases)


def _of(name: str, subject: ServiceFacts, facts: Facts) -> Iterable[TriedPass]:
    return (
        e
        for layer in facts.layers
        if layer.name in subject.layers
        for e in layer.passes
        if e.carries.name == name
    )


def _prove(layer: LayerFacts) -> AdviceStep:
    return AdviceStep(command=f"slimbake prove {' '.join(layer.services)}")


def _passes(found: Sequence[TriedPass]) -> str:
    names = [each.carries.name for each in found]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"{len(names)} {'pass' if len(names) == 1 else 'passes'}"
        f" ({', '.join(names[:_NAMED])}{more})"
    )
