"""All that is left to do for some images of a fleet. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any, get_args

from slimbake.advise.model import (
    MOST,
    Advice,
    AdviceStep,
    Advised,
    Bound,
    Doubled,
    Facts,
    LayerFacts,
    Saving,
    ServiceFacts,
    TriedPass,
    worth,
)
from slimbake.advise.runtime import quantise, swap
from slimbake.catalogue.model import Guarantee
from slimbake.checks.limits import WORTH
from slimbake.config.model import ServiceEntry
from slimbake.config.naming import base_layer
from slimbake.console.tables import UNMEASURED, megabytes, readable, some
from slimbake.render.quoting import comment

# What passes could still take: those that are left out, stale or untried, and what no smoke uses.

STRIP = "strip.unneeded"
_NAMED = 3


def prune_advice(subject: ServiceFacts, facts: Facts) -> Iterator[Advice]:
    """What is left to prune of one image: layer by layer, then what its limits tell."""
    for layer in facts.layers_of(subject):
        yield from _layer(layer, subject, facts)
    yield from _unused(subject, facts)


def _layer(layer: LayerFacts, subject: ServiceFacts, facts: Facts) -> Iterator[Advice]:
    proven = [each for each in layer.passes if each.finding and each.finding.verdict == "proven"]
    # the first ones are named
    proven.sort(key=lambda each: -(each.finding.bytes if each.finding else 0))
    if layer.unchecked:
        if layer.passes:
            steps = (*_smokes(layer, facts), AdviceStep(command=_named("prove", layer.services)))
            names = some(layer.unchecked, MOST)
            what = f"{layer.name} carries no pass while {names} has no smoke"
            yield _advice(what, proven, steps, subject, layer)
    elif layer.off:
        if layer.passes:
            steps = (facts.at(layer.off, "optimize: lossless"),)
            yield _advice(f"{layer.name} carries no pass", proven, steps, subject, layer)
    else:
        stale = [each for each in proven if each.stale and not each.left_out]
        if stale:
            why = ", ".join(dict.fromkeys(each.stale for each in stale))
            what = f"{_passes(stale)} on {layer.name}, proven once, which a bake leaves out: {why}"
            commands = dict.fromkeys(command for each in stale for command in each.renewals)
            yield _advice(
                what, stale, tuple(AdviceStep(command=c) for c in commands), subject, layer
            )
        untried = [each for each in layer.passes if _untried(each)]
        if untried:
            steps = (AdviceStep(command="slimbake prove --untried"),)
            what = f"{_passes(untried)} on {layer.name}, not tried as it is now"
            yield _advice(what, [], steps, subject, layer, untried)
        for each in proven:
            if each.left_out and not each.stale:
                steps = (facts.at(each.left_out, "", f"take {each.carries.name} off this list"),)
                name = f"{each.carries.name} ({each.carries.guarantee})"
                what = f"{name} on {layer.name}, proven and left out"
                yield _advice(what, [each], steps, subject, layer)


def _untried(each: TriedPass) -> bool:
    """Whether nothing is known of it."""
    return not each.left_out and each.finding is None


def _advice(
    what: str,
    known: Sequence[TriedPass],
    steps: tuple[AdviceStep, ...],
    subject: ServiceFacts,
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
        **_also(layer.services, subject),
    )


def _also(services: Sequence[str], subject: ServiceFacts) -> dict[str, Any]:
    """Who else holds what a service holds."""
    also = tuple(islice((name for name in services if name != subject.service), MOST))
    return {"also": also, "others": max(0, len(services) - 1 - len(also))}


def _smokes(layer: LayerFacts, facts: Facts) -> Iterator[AdviceStep]:
    for name in layer.unchecked[:MOST]:
        yield facts.at(("services", facts.subject(name).entry), "smoke: smoke.py")
    if len(layer.unchecked) > MOST:
        yield facts.at(("services",), "", f"the same in {len(layer.unchecked) - MOST:,} more")


def _named(command: str, services: Sequence[str]) -> str:
    """A command for these services; for all of them where they are too many to name."""
    return f"slimbake {command} {' '.join(services if len(services) <= MOST else ())}".rstrip()


def _unused(subject: ServiceFacts, facts: Facts) -> Iterator[Advice]:
    """What its limits say: bytes above the runtime that no workload uses, and symbols."""
    if subject.limits is None:
        return
    together = _together(subject, facts)
    for action in subject.limits.left or ():
        if action.kind == "prune":
            what, command = (
                "files that no smoke and no verify opens",
                _named("search", together),
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
            steps=(AdviceStep(command=command), AdviceStep(command="slimbake prove --untried")),
            costs=costs,
            **_also(together, subject),
        )


def _together(subject: ServiceFacts, facts: Facts) -> tuple[str, ...]:
    """Who stands on the nearest base of a service, which a search has to name."""
    if not subject.bases:
        return (subject.service,)
    return facts.on(subject.bases[0])


def _of(name: str, subject: ServiceFacts, facts: Facts) -> Iterable[TriedPass]:
    return (e for layer in facts.layers_of(subject) for e in layer.passes if e.carries.name == name)


def _passes(found: Sequence[TriedPass]) -> str:
    """How many they are, what they promise, and the names of the first."""
    names = [each.carries.name for each in found]
    levels = {each.carries.guarantee for each in found}
    promised = " and ".join(each for each in get_args(Guarantee) if each in levels)
    passes = "pass" if len(names) == 1 else "passes"
    return f"{len(names)} {promised} {passes} ({some(names, _NAMED)})"


# Another base for a service, layers that are shared better, another compression.

BEST = 9  # BuildKit's zstd does not compress better at any level above
DEFAULT = 7  # what it gains above is little, and unmeasured: no advice


def other_base(subject: ServiceFacts, facts: Facts) -> Iterator[Advice]:
    """For a service that can do without its nearest base: its code imports none of what the base
    asks for, and its workload opens less than the image holds beside the base's layer.
    """
    path = ("services", subject.entry, "base")
    if (
        path not in facts.keys
        or subject.image is None
        or subject.limits is None
        or subject.limits.opened is None
    ):
        return
    base = subject.bases[0]
    layer = subject.image.of(base_layer(base))
    asked = facts.asked.get(base, ())
    if layer is None or not asked or not subject.imports or not worth(layer.uncompressed, subject):
        return
    modules = {module.lower().replace("-", "_") for module in subject.imports}
    used = [name for name in asked if name.lower().replace("-", "_") in modules]
    if used or subject.limits.opened > subject.image.uncompressed - layer.uncompressed:
        return
    parent = facts.parents.get(base, "")
    yield Advice(
        kind="other base",
        what=f"its code imports none of {', '.join(asked)}, which base {base} asks for",
        saves=(
            Saving("uncompressed", layer.uncompressed, "at most"),
            Saving("compressed", layer.compressed, "at most"),
        ),
        source=f"the layer {base_layer(base)}, {subject.image.source}",
        steps=(
            facts.at(path, f"base: {parent}") if parent else facts.at(path, "", "take it away"),
            AdviceStep(command="slimbake lock"),
        ),
        costs=(
            (
                "what it needs of that base after all becomes a layer of its own, which it shares"
                " with nobody"
            ),
        ),
    )


def share(facts: Facts) -> Iterator[Advice]:
    """What lies in several places, by the base that could hold it once; and what the planner would
    lay otherwise.
    """
    groups: dict[str, list[Doubled]] = {}
    for each in facts.doubled:
        groups.setdefault(each.base, []).append(each)
    most = max((each.image.uncompressed for each in facts.subjects if each.image), default=0)
    for base, found in groups.items():
        size = sum(each.host * (each.copies - 1) for each in found)
        # What no base could hold is the planner's to say.
        if ("bases", base) not in facts.keys or size < WORTH * most:
            continue
        names = [each.key for each in found]
        having = dict.fromkeys(service for each in found for service in each.services)
        step = facts.at(
            ("bases", base, "requirements"),
            "",
            f"add {', '.join(name.partition('==')[0] for name in names)}",
        )
        yield Advice(
            kind="share",
            what=f"in several places of a host: {', '.join(names)}",
            saves=(Saving("on a host", size, "about"),),
            source="locks, and bake/evidence/sizes.json where packages are measured",
            steps=(step, AdviceStep(command="slimbake lock")),
            costs=("every image on the base carries it",),
            also=tuple(having)[:MOST],
            others=max(0, len(having) - MOST),
        )
    yield from _relaid(facts)


def _relaid(facts: Facts) -> Iterator[Advice]:
    """The planner's layers, where one of its three figures is better by what is worth naming."""
    relaid = facts.relaid
    if relaid is None:
        return
    changes = (relaid.host, relaid.registry, relaid.pulled)
    if not any(
        -change >= WORTH * now for change, now in zip(changes, relaid.before, strict=True) if now
    ):
        return
    yield Advice(
        kind="share",
        what="layers as the planner would lay them, if all services have a solution together",
        saves=(
            Saving("on a host", -relaid.host, "about"),
            Saving("on a registry", -relaid.registry, "about"),
            Saving("pulled by a typical update", -relaid.pulled, "about"),
        ),
        source="`slimbake layers`, by wheels in the locks and measured packages",
        steps=(
            AdviceStep(command="slimbake layers"),
            facts.at(
                ("bases",),
                "",
                "; ".join(
                    (
                        "without it, and without each `base`, slimbake finds the layers",
                        *_moved(facts),
                    )
                ),
            ),
            AdviceStep(command="slimbake lock"),
        ),
        costs=(
            "all services are locked together: `slimbake lock` says whether their requirements and"
            " what they pin allow that",
            (
                f"up to {relaid.layers[1]} layers of packages and weights in an image,"
                f" {relaid.layers[0]} now"
            ),
        ),
    )


def _moved(facts: Facts) -> Iterator[str]:
    """Where the keys of bases go that are no more."""
    keys = {str(path[2]) for path in facts.keys if path[:1] == ("bases",) and len(path) == 3}
    every = keys - {"requirements", "extends"}
    of_services = every & {each.name for each in fields(ServiceEntry)}
    for found, where in (
        (of_services, "to each of its services"),
        (every - of_services, "at the top of the manifest"),
    ):
        if found:
            named = ", ".join(f"`{key}`" for key in sorted(found))
            yield f"{named} of a base: write it {where}"


def compression(facts: Facts) -> Iterator[Advice]:
    """zstd in place of gzip, and its best level; estargz was chosen for how it is pulled."""
    now = facts.compression
    path = ("compression",)
    key = path if path in facts.keys else ()
    step = facts.at(key, f"compression: {{type: zstd, level: {BEST}}}")
    slower = f"a longer export at level {BEST} than at 7: docs/how-to/smaller-images.md#compression"
    if now.type == "gzip":
        parts = {
            p.diff: p for each in facts.subjects if each.image for p in each.image.parts
        }.values()
        pairs = [(part.gzip, part.zstd) for part in parts]
        known = bool(pairs) and all(gzip is not None and zstd is not None for gzip, zstd in pairs)
        saved = sum((gzip or 0) - (zstd or 0) for gzip, zstd in pairs) if known else None
        yield Advice(
            kind="compression",
            what="zstd in place of gzip",
            saves=(Saving("on a registry", saved, "at least" if known else ""),),
            source="gzip 6 less zstd 7, bake/evidence/sizes.json" if known else _MEASURE,
            steps=(step,),
            costs=("read by Docker 23, containerd 1.5 and newer alone", slower),
        )
    elif now.type == "zstd" and now.level < DEFAULT:
        yield Advice(
            kind="compression",
            what=f"zstd {BEST} in place of zstd {now.level}",
            saves=(Saving("on a registry", None),),
            source=(
                f"`COMPRESSION_LEVEL={BEST} slimbake bake --no-cache`, then `slimbake sizes`"
                " measures it"
            ),
            steps=(step,),
            costs=(slower,),
        )


_MEASURE = "`slimbake sizes --record`"


_SIZES = "`slimbake sizes --record`"
_LIMITS = "`slimbake limits --record`"


def advice(facts: Facts, services: Collection[str]) -> tuple[Advised, ...]:
    """What is left to do for each of these services: what saves most first, then what is
    unmeasured.
    """
    wanted = frozenset(services)
    return tuple(_image(each, facts) for each in facts.subjects if each.service in wanted)


def advise_fleet(facts: Facts) -> Advised:
    """What is left to do that no single image decides."""
    missing = (f"what lies in several places, since {facts.unlaid}",) if facts.unlaid else ()
    return Advised(
        service="", advice=_ordered([*share(facts), *compression(facts)]), unmeasured=missing
    )


def _image(subject: ServiceFacts, facts: Facts) -> Advised:
    found = [rule(subject, facts) for rule in (prune_advice, swap, quantise, other_base)]
    image = subject.image
    return Advised(
        service=subject.service,
        uncompressed=image.uncompressed if image else None,
        compressed=image.compressed if image else None,
        advice=_ordered([each for some in found for each in some]),
        unmeasured=tuple(_unmeasured(subject)),
        warnings=subject.warnings,
    )


def _ordered(found: list[Advice]) -> tuple[Advice, ...]:
    """Equal ones in the order in which they were found: a figure that is not known is no figure, so
    it comes last.
    """
    return tuple(
        sorted(found, key=lambda each: (each.saves[0].bytes is None, -(each.saves[0].bytes or 0)))
    )


def _unmeasured(subject: ServiceFacts) -> Iterator[str]:
    image, limits = subject.image, subject.limits
    if image is None:
        yield f"what the image weighs: {_SIZES}"
    if limits is None or limits.used is None:
        yield f"how much of it its workload uses: {_LIMITS}"
    elif image is not None and limits.digest != image.digest:
        yield f"how much of it its workload uses, since a different image was observed: {_LIMITS}"


FLEET = "the fleet"
_COSTS = 6  # features that are named; JSON has all


def advice_text(found: Sequence[Advised]) -> str:
    """A block for each image, and one for the fleet."""
    return "\n\n".join("\n".join(map(comment, _block(each))) for each in found)


def _block(advised: Advised) -> Iterator[str]:
    yield _title(advised)
    for number, advice in enumerate(advised.advice, 1):
        known = [each for each in advice.saves if each.bytes is not None] or advice.saves[:1]
        yield f"  {number}. {advice.kind}: {', '.join(map(_saving, known))}"
        yield f"     {advice.what}"
        yield from (f"     do: {_step(step)}" for step in advice.steps)
        yield from (f"     costs: {cost}" for cost in _costs(advice))
        yield f"     from: {advice.source}"
        if advice.also:
            others = f" and {advice.others:,} more" if advice.others else ""
            yield f"     also: {', '.join(advice.also)}{others}"
    if not advised.advice:
        left = f": what is left would save less than {WORTH:.0%}"
        yield "  nothing worth doing" + (", as far as is known" if advised.unmeasured else left)
    yield from (f"  {UNMEASURED}: {line}" for line in advised.unmeasured)
    yield from (f"  warning: {line}" for line in advised.warnings)


def _title(advised: Advised) -> str:
    if not advised.service:
        return FLEET
    packed = "" if advised.compressed is None else f", {megabytes(advised.compressed)} compressed"
    return f"{advised.service}: {megabytes(advised.uncompressed)}{packed}"


def _saving(saving: Saving) -> str:
    if saving.bytes is None:
        return f"{UNMEASURED} {saving.unit}"
    return f"{saving.bound} {readable(saving.bytes)} {saving.unit}".lstrip()


def _step(step: AdviceStep) -> str:
    if step.command:
        return step.command
    where = f"{step.place} {step.key}".rstrip()
    return f"{where}: {', '.join(filter(None, (f'`{step.line}`' if step.line else '', step.note)))}"


def _costs(advice: Advice) -> Iterator[str]:
    if advice.kind != "prune":
        yield from advice.costs
    elif advice.costs:
        more = f"; {len(advice.costs) - _COSTS} more" if len(advice.costs) > _COSTS else ""
        yield "; ".join(advice.costs[:_COSTS]) + more
