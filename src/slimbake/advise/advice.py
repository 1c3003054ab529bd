"""All that is left to do for some images of a fleet. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from slimbake.advise.fleet import compression, other_base, share
from slimbake.advise.model import Advice, Advised, Facts, ServiceFacts
from slimbake.advise.prune import prune_advice
from slimbake.advise.runtime import quantise, swap

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
