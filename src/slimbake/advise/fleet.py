"""Another base for a service, layers that are shared better, another compression. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from slimbake.advise.model import Advice, AdviceStep, Doubled, Facts, Saving, ServiceFacts, worth
from slimbake.checks.limits import WORTH
from slimbake.config.naming import base_layer

BEST = 9  # BuildKit's zstd does not compress better at any level above


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
        if size < WORTH * most:
            continue
        names = [each.key for each in found]
        step = (
            facts.at(
                ("bases", base, "requirements"),
                "",
                f"add {', '.join(name.partition('==')[0] for name in names)}",
            )
            if ("bases", base) in facts.keys
            else AdviceStep(command="slimbake layers")
        )
        yield Advice(
            kind="share",
            what=f"in several places of a host: {', '.join(names)}",
            saves=(Saving("on a host", size, "about"),),
            source="locks, and bake/evidence/sizes.json where packages are measured",
            steps=(step, AdviceStep(command="slimbake lock")),
            costs=("every image on the base carries it",) if base else (),
            also=tuple(dict.fromkeys(service for each in found for service in each.services)),
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
        what="layers as the planner would lay them",
        saves=(
            Saving("on a host", -relaid.host, "about"),
            Saving("on a registry", -relaid.registry, "about"),
            Saving("pulled by a typical update", -relaid.pulled, "about"),
        ),
        source="`slimbake layers`, by wheels in the locks and measured packages",
        steps=(
            AdviceStep(command="slimbake layers"),
            facts.at(
                ("bases",), "", "without it, and without each `base`, slimbake finds the layers"
            ),
        ),
        costs=(
            (
                f"up to {relaid.layers[1]} layers of packages and weights in an image,"
                f" {relaid.layers[0]} now"
            ),
        ),
    )


def compression(facts: Facts) -> Iterator[Advice]:
    """zstd in place of gzip, and its best level."""
    now = facts.compression
    path = ("compression",)
    key = path if path in facts.keys else ()
    step = facts.at(key, f"compression: {{type: zstd, level: {BEST}}}")
    slower = f"a longer export at level {BEST} than at 7: docs/measuring.md#compression"
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
    elif now.level < BEST:
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


_MEASURE = "`slimbake sizes --compress --json > bake/evidence/sizes.json`"
