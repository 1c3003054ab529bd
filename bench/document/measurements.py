"""Start-up and memory, bytes on registries and hosts and between them, build times, limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimbake.console.tables import UNMEASURED
from slimbake.proof.report import cause

from .cells import code, difference, less, mb, ratio, seconds, share, table, total
from .claims import environment, figure, slower
from .inputs import Inputs

COLD_AT_MOST = 5.0  # seconds that clean-up may add to a cold bake of the eight
SIZES = "`slimbake sizes --record`"


def starts(inputs: Inputs) -> str:
    """Start-up and memory of each image without and with passes, and what variables change."""
    rows = []
    for name in inputs.services:
        startup = [figure(inputs, name, side, "startup") for side in ("without", "with")]
        rss = [figure(inputs, name, side, "rss") for side in ("without", "with")]
        times = (*map(seconds, startup), ratio(startup[1], startup[0]))
        rows.append((name, *times, *map(mb, rss), ratio(rss[1], rss[0])))
    heads = (
        "service",
        "start s without",
        "with",
        "with / without",
        "RSS MB without",
        "with",
        "with / without",
    )
    variables = list(_variables(inputs))
    said = (
        "variable",
        "service",
        "verdict",
        "start s",
        "ratio",
        "RSS MB",
        "ratio",
        "calls s",
        "ratio",
    )
    return "\n\n".join(
        (
            "Start-up and RSS are medians ([how](../measuring.md#starts)). "
            + _measured_on(
                [each.get("measured", {}) for each in inputs.images.get("services", {}).values()]
            ),
            table(heads, rows),
            "Variables for the manifest's `env`, each against the same image without it, in turns:"
            " medians, and the median of the ratios within a round. *calls*: the time of the calls"
            " in the service's verify. "
            + _measured_on([of for _, _, of in environment(inputs) if of["held"]]),
            (
                table(said, variables)
                if variables
                else f"{UNMEASURED}: run `slimbake prove --environment`"
            ),
        )
    )


def _variables(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    digests = {each.name: each.digest for each in inputs.passes}
    for name, service, of in environment(inputs):
        if inputs.images["environment"][name].get("digest") != digests.get(name):
            yield name, service, "stale: the pass has changed since", *[UNMEASURED] * 6
        elif not of["held"]:
            yield (
                name,
                service,
                f"refuted: {of['level']} {code(cause(of.get('error', '')))}".strip(),
                *[UNMEASURED] * 6,
            )
        else:
            cells = []
            for key, shown in (("startup", seconds), ("rss", mb), ("calls", seconds)):
                one, other = (of.get(side, {}).get(key) for side in ("without", "with"))
                cells += [f"{shown(one)} -> {shown(other)}" if one and other else UNMEASURED]
                cells += [ratio(of.get("ratio", {}).get(key), 1)]
            yield name, service, ", but ".join(filter(None, ("works", slower(of)))), *cells


def _measured_on(entries: Sequence[Mapping[str, Any]]) -> str:
    """The machines of several measurements, and how busy they were before them."""
    machines = sorted({each["machine"] for each in entries if "machine" in each})
    if not machines:
        return f"Machine: {UNMEASURED}."
    loads = [each["load"] for each in entries if "load" in each]
    return (
        f"Measured on: {'; '.join(machines)}; load before each {min(loads):.1f} to"
        f" {max(loads):.1f}."
    )


def _machine(found: Mapping[str, Any], where: str) -> str:
    return (
        f"Measured on: {found['machine']}."
        if found.get("machine")
        else f"The machine is not recorded by {where}."
    )


def stored(inputs: Inputs) -> str:
    """Bytes on a registry and a host without and with passes, shared against alone, and what is
    pulled.
    """
    fleet = inputs.images.get("fleet", {})
    rows = []
    for name in ("registry", "host"):
        before, after = (fleet.get(side, {}).get(name) for side in ("without", "with"))
        count = len(fleet.get("with", {}).get("services", ())) or "all"
        rows.append((f"{count} images on a {name}", mb(before), mb(after), less(after, before)))
    claim = share(inputs.writeup["claims"]["shared_base_saves"]).replace(".0%", " %")
    heads = ("MB", "without passes", "with", "smaller")
    alone = ("", "each image alone", "shared", "saved by sharing", f"write-up: {claim}")
    return "\n\n".join(
        (
            (
                "Registry bytes are compressed, each distinct blob once; host bytes uncompressed,"
                " each distinct chain of layers once. Weights included. Of *each image alone*,"
                " without and with passes, layers are compressed by slimbake's zstd; what is"
                " shared, as BuildKit stored it."
            ),
            table(heads, rows),
            table(alone, list(_shared(inputs, inputs.writeup["claims"]["shared_base_saves"]))),
            (
                "What a host that has the base of a service, and nothing above it, pulls for the"
                " service:"
            ),
            _pulled(inputs),
        )
    )


def _shared(inputs: Inputs, claimed: float) -> Iterator[tuple[str, ...]]:
    fleet, sizes = inputs.images.get("fleet", {}), inputs.sizes
    for side in ("without", "with"):
        measured = fleet.get(side, {}).get("services", tuple(inputs.images.get("services", {})))
        for where, unit in (("registry", "zstd"), ("host", "uncompressed")):
            alone = total(figure(inputs, service, side, unit) for service in measured)
            row = f"{len(measured) or 'all'} images on a {where}, MB, {side} passes"
            yield (row, *_saved(alone, fleet.get(side, {}).get(where), claimed))
    images = sizes.get("images", {})
    for where, unit in (("registry", "compressed"), ("host", "uncompressed")):
        alone = total(image.get(unit) for image in images.values())
        row = f"{len(images) or 'all'} images on a {where}, MB, as they are baked"
        yield (row, *_saved(alone, sizes.get(f"unique_on_{where}"), claimed))


def _saved(alone: float | None, shared: float | None, claimed: float) -> tuple[str, ...]:
    saved = None if alone is None or shared is None or not alone else 1 - shared / alone
    verdict = UNMEASURED if saved is None else "true" if saved >= claimed else "not reached"
    return mb(alone), mb(shared), share(saved), verdict


def _pulled(inputs: Inputs) -> str:
    images = inputs.sizes.get("images", {})
    if not images:
        return f"{UNMEASURED}: run {SIZES}"
    chains = {name: [layer["diff"] for layer in image["layers"]] for name, image in images.items()}
    rows = []
    for name in inputs.services:
        base = inputs.bases.get(name)
        others = [
            chain for other, chain in chains.items() if base and inputs.bases.get(other) == base
        ]
        if base and name in chains and len(others) < 2:
            # nothing tells where its base ends
            rows.append((name, base, UNMEASURED, UNMEASURED, UNMEASURED))
            continue
        layers = images.get(name, {}).get("layers")
        below = _prefix(others) if base else 0
        new = layers[below:] if layers else None
        whole = total(layer["compressed"] for layer in layers) if layers else None
        pulled = total([0, *(layer["compressed"] for layer in new)]) if new is not None else None
        rows.append(
            (
                name,
                base or "-",
                mb(whole),
                _little(pulled),
                share(pulled / whole if whole and pulled else None),
            )
        )
    return table(("service", "base", "whole image, MB", "pulled, MB", "of it"), rows)


def _prefix(chains: Sequence[Sequence[str]]) -> int:
    """How many layers all of them have in common, from below."""
    same = 0
    for layers in zip(*chains, strict=False):
        if len(set(layers)) > 1:
            break
        same += 1
    return same


def _little(value: float | None) -> str:
    return UNMEASURED if value is None else f"{value / 1e6:,.3f}"


def builds(inputs: Inputs) -> str:
    """How long bakes take: beside hand-written Dockerfiles, and with clean-up beside without."""
    return "\n\n".join((*_bakes(inputs.bake), *_cold(inputs.prune)))


def _bakes(bake: Mapping[str, Any]) -> Iterator[str]:
    sides = bake.get("sides", {})
    if not sides:
        yield (
            f"Beside hand-written Dockerfiles: {UNMEASURED}: run `bench/bake.py --engine-is-mine`."
        )
        return
    heads = (
        "seconds, medians",
        *sides,
        *(f"{name} / slimbake" for name in sides if name != "slimbake"),
    )
    rows = []
    for label, key in (("cold bake", "cold"), ("no-op bake", "noop")):
        rows.append(
            _line(label, {name: side.get(key, {}).get("median") for name, side in sides.items()})
        )
    services = ", ".join(bake.get("services", ())) or "the fleet"
    yield (
        f"Beside hand-written Dockerfiles (`bench/README.md` says what is compared), of {services}. "
        + _machine(bake, "that run")
    )
    yield table(heads, rows)


def _line(label: str, medians: Mapping[str, float | None]) -> tuple[str, ...]:
    ratios = (
        ratio(value, medians.get("slimbake"))
        for name, value in medians.items()
        if name != "slimbake"
    )
    return (label, *map(seconds, medians.values()), *ratios)


def _cold(prune: Mapping[str, Any]) -> Iterator[str]:
    sides = prune.get("sides", {})
    if not sides:
        yield f"Clean-up in a cold bake: {UNMEASURED}: run `bench/prune.py --engine-is-mine`."
        return
    before, after = (sides.get(name, {}) for name in ("without", "with"))
    more = difference(after.get("median"), before.get("median"))
    verdict = UNMEASURED if more is None else "true" if more <= COLD_AT_MOST else "not reached"
    yield (
        f"Clean-up adds at most {COLD_AT_MOST:g} s to a cold bake of"
        f" {len(prune.get('services', ())) or 'all'} services: **{verdict}**. Sides take turns."
        f" {_machine(prune, 'that run')}"
    )
    runs = [len(side.get("runs", ())) for side in sides.values()]
    yield table(
        ("seconds, medians", "without passes", "with", "more", "with / without", "runs of each"),
        [
            (
                "cold bake",
                seconds(before.get("median")),
                seconds(after.get("median")),
                seconds(more),
                ratio(after.get("median"), before.get("median")),
                str(min(runs)),
            )
        ],
    )


def limits(inputs: Inputs) -> str:
    """What images hold above the runtime, against what of it is used."""
    if not inputs.limits:
        return f"{UNMEASURED}: run `slimbake limits --record`"
    rows = []
    for name in inputs.services:
        of = inputs.limits.get(name, {})
        left = of.get("left")
        actions = (
            UNMEASURED
            if left is None
            else ", ".join(f"{a['kind']} {mb(a['bytes'])}" for a in left) or "nothing over 2 %"
        )
        sizes = [of.get(key) for key in ("image", "opened", "touched", "smallest", "above", "used")]
        rows.append((name, *map(mb, sizes), ratio(of.get("above"), of.get("used")), actions))
    heads = (
        "MB",
        "image",
        "opened",
        "touched",
        "smallest found",
        "above the runtime",
        "used of that",
        "ratio",
        "left",
    )
    return "What counts as used: [limits](../limits.md).\n\n" + table(heads, rows)
