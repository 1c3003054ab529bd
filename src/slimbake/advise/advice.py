"""All that is left to do for some images of a fleet. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from slimbake.advise.fleet import compression, other_base, share
from slimbake.advise.model import Advice, AdviceStep, Advised, Facts, Saving, ServiceFacts
from slimbake.advise.prune import prune_advice
from slimbake.advise.runtime import quantise, swap
from slimbake.console.tables import UNMEASURED, megabytes, readable
from slimbake.render.quoting import comment

_SIZES = "`slimbake sizes --compress --json > bake/evidence/sizes.json`"
_LIMITS = "`slimbake limits --json > bake/evidence/limits.json`"


def advice(facts: Facts, services: Collection[str]) -> tuple[Advised, ...]:
    """What is left to do for each of these services: what saves most first, then what is
    unmeasured.
    """
    return tuple(_image(each, facts) for each in facts.subjects if each.service in services)


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
        yield f"what of it its workload uses: {_LIMITS}"
    elif image is not None and limits.digest != image.digest:
        yield f"what of it its workload uses, since another image of it was observed: {_LIMITS}"


FLEET = "the fleet"
_COSTS = 6  # features that are named; JSON has all


def advice_text(found: Sequence[Advised]) -> str:
    """A block for each image, and one for the fleet."""
    return "\n\n".join("\n".join(map(comment, _block(each))) for each in found)


def _block(advised: Advised) -> Iterator[str]:
    yield _title(advised)
    for number, advice in enumerate(advised.advice, 1):
        yield f"  {number}. {advice.kind}: {', '.join(_saving(each) for each in advice.saves)}"
        yield f"     {advice.what}"
        yield from (f"     do: {_step(step)}" for step in advice.steps)
        yield from (f"     costs: {cost}" for cost in _costs(advice))
        yield f"     from: {advice.source}"
        if advice.also:
            yield f"     also: {', '.join(advice.also)}"
    if not advised.advice:
        yield "  nothing that is worth it" + (", by what is known" if advised.unmeasured else "")
    yield from (f"  {UNMEASURED}: {line}" for line in advised.unmeasured)


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
