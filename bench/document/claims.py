"""The write-up's claims beside what was measured: its images, and its techniques row by row. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from slimbake.console.tables import UNMEASURED
from slimbake.proof.report import cause

from .cells import NONE, code, difference, less, mb, share, small, table, total
from .inputs import Inputs
from .passes import Found, found

TOTAL = "the three together"
SLOWER = 1.1  # times as long that a start or calls may take before the page says so
_LINKS = {"images": "[images](images.md)", "bytes": "[bytes](bytes.md)"}


def figure(inputs: Inputs, service: str, side: str, name: str) -> int | None:
    """A figure of an image, None where it was not measured. `side`: without or with passes.

    A service that stands on no layer of packages has one image; its figures are those of `slimbake
    sizes`.
    """
    known: int | None = inputs.images.get("services", {}).get(service, {}).get(side, {}).get(name)
    if (
        known is None
        and not _on_layers(service, inputs)
        and name in ("uncompressed", "gzip", "zstd")
    ):
        known = inputs.sizes.get("images", {}).get(service, {}).get(name)
    return known


def without_weights(inputs: Inputs, service: str, side: str) -> float | None:
    """Uncompressed bytes of an image, less those of its model."""
    weights = figure(inputs, service, side, "weights") if _on_layers(service, inputs) else 0
    return difference(figure(inputs, service, side, "uncompressed"), weights)


def _on_layers(service: str, inputs: Inputs) -> bool:
    return any(service in layer.question.checks for layer in inputs.layers)


def images(inputs: Inputs) -> str:
    """Each service's image: what the write-up has, people by hand, and this repository."""
    claimed = inputs.writeup["images"]
    ours = [
        *(name for name in claimed if name in inputs.services),
        *(n for n in inputs.services if n not in claimed),
    ]
    plain = [_uncompressed(name, inputs) for name in ours]
    plain.insert(len(claimed), _uncompressed_total(inputs))
    heads = [
        "MB, uncompressed, without weights",
        "write-up",
        "by hand (1)",
        "by hand, same code (2)",
    ]
    heads += (
        "ours, without passes",
        "ours",
        "smaller than without",
        "smaller than the write-up's",
        "checks",
    )
    rows = [_compressed(name, inputs) for name in ours]
    rows.insert(len(claimed), _compressed_total(inputs))
    packed = ["MB, compressed, with weights", "weights", "by hand, gzip, no weights (1)"]
    packed += (
        "gzip without passes",
        "gzip",
        "zstd without passes",
        "zstd",
        "zstd smaller than without",
    )
    by_hand = inputs.writeup["by_hand"]
    return "\n\n".join(
        (
            (
                "`slimbake prove --images` measures an image only after its smoke and verify passed on it, so"
                " every measured image passed them."
            ),
            table(heads, plain),
            table(packed, rows),
            f"(1) {by_hand['source'][0].upper()}{by_hand['source'][1:]}. They are with: "
            + "; ".join(
                f"{name}, {image['with']}"
                for name, image in by_hand["images"].items()
                if image["with"]
            )
            + ".",
            (
                "(2) `one by one` of `bench/bake.py`, less the weights. gzip is"
                " level 6, zstd level 7."
            ),
        )
    )


def _uncompressed(service: str, inputs: Inputs) -> tuple[str, ...]:
    claim = inputs.writeup["images"].get(service)
    by_hand = inputs.writeup["by_hand"]["images"].get(service)
    before, after = (without_weights(inputs, service, side) for side in ("without", "with"))
    return (
        service,
        _arrow(claim["before"], claim["after"]) if claim else NONE,
        _arrow(by_hand["original"]["mb"], by_hand["optimised"]["mb"]) if by_hand else NONE,
        mb(_same_code(service, inputs)),
        mb(before),
        mb(after),
        less(after, before),
        less(after, claim["after"] * 1e6) if claim else NONE,
        checks(service, inputs),
    )


def _arrow(before: float, after: float) -> str:
    return f"{before:,} -> {after:,}"


def _same_code(service: str, inputs: Inputs) -> float | None:
    sizes = inputs.bake.get("sides", {}).get("one by one", {}).get("sizes") or {}
    weights = figure(inputs, service, "with", "weights") if _on_layers(service, inputs) else 0
    return difference(sizes.get("images", {}).get(service, {}).get("uncompressed"), weights)


def _uncompressed_total(inputs: Inputs) -> tuple[str, ...]:
    claims, by_hand = inputs.writeup["images"], inputs.writeup["by_hand"]["images"]
    before, after = (
        total(without_weights(inputs, name, side) for name in claims)
        for side in ("without", "with")
    )
    claimed = sum(claim["after"] for claim in claims.values())
    sides = [
        sum(image[side]["mb"] for image in by_hand.values()) for side in ("original", "optimised")
    ]
    return (
        TOTAL,
        _arrow(sum(claim["before"] for claim in claims.values()), claimed),
        _arrow(sides[0], sides[1]),
        mb(total(_same_code(name, inputs) for name in claims)),
        mb(before),
        mb(after),
        less(after, before),
        less(after, claimed * 1e6),
        "",
    )


_COMPRESSED = (("gzip", "without"), ("gzip", "with"), ("zstd", "without"), ("zstd", "with"))


def _compressed(service: str, inputs: Inputs) -> tuple[str, ...]:
    by_hand = inputs.writeup["by_hand"]["images"].get(service)
    sizes = [figure(inputs, service, side, name) for name, side in _COMPRESSED]
    weights = figure(inputs, service, "with", "weights") if _on_layers(service, inputs) else 0
    gzip = _arrow(by_hand["original"]["gzip"], by_hand["optimised"]["gzip"]) if by_hand else NONE
    return service, mb(weights), gzip, *map(mb, sizes), less(sizes[3], sizes[2])


def _compressed_total(inputs: Inputs) -> tuple[str, ...]:
    names, by_hand = inputs.writeup["images"], inputs.writeup["by_hand"]["images"].values()
    sizes = [
        total(figure(inputs, service, side, name) for service in names)
        for name, side in _COMPRESSED
    ]
    weights = total(figure(inputs, service, "with", "weights") for service in names)
    gzip = _arrow(
        *(sum(image[side]["gzip"] for image in by_hand) for side in ("original", "optimised"))
    )
    return TOTAL, mb(weights), gzip, *map(mb, sizes), less(sizes[3], sizes[2])


def checks(service: str, inputs: Inputs) -> str:
    """Whether a service's checks held on its image with all passes."""
    if not _on_layers(service, inputs):
        return "no packages: no passes"
    if "with" not in inputs.images.get("services", {}).get(service, {}):
        return UNMEASURED
    return "smoke and verify pass" if service in inputs.verified else "smoke passes"


def techniques(inputs: Inputs) -> str:
    """Every technique of the write-up, row by row, and what was tested beside it."""
    rows = [
        (bool(each.get("beside")), each["claim"], name, technique(each, name, inputs))
        for each in inputs.writeup["techniques"]
        for name in each["by"]
    ]
    heads = ("technique", "pass", "verdict", "saves, or would", "zstd", "why, or where")
    shown = [
        [_row(claim, name, it) for beside, claim, name, it in rows if beside == which]
        for which in (False, True)
    ]
    return "\n\n".join(
        (
            _preserved([it for beside, _, _, it in rows if not beside], inputs),
            table(heads, shown[0]),
            "Tested beside the write-up's:",
            table(heads, shown[1]),
        )
    )


def _row(claim: str, name: str, it: Found) -> tuple[str, ...]:
    known = it.bytes is not None
    return (
        claim,
        name,
        it.verdict,
        small(it.bytes) if known else "",
        small(it.zstd) if known else "",
        it.words,
    )


def _preserved(own: list[Found], inputs: Inputs) -> str:
    """The claim that nothing is lost, against what was found."""
    held = [
        service
        for service in inputs.services
        if checks(service, inputs).endswith(("pass", "passes"))
    ]
    counted = {
        "work on every layer": sum(it.verdict in ("proven", "works") for it in own),
        "are refuted on at least one": sum("refuted" in it.verdict for it in own),
        "work where they were tried so far": sum(
            it.verdict.startswith("proven on") and "refuted" not in it.verdict for it in own
        ),
        "change or save nothing": sum(it.verdict == "idle" for it in own),
        "apply to nothing here": sum(it.verdict == "applies to nothing here" for it in own),
        "are done another way": sum(it.verdict == "no pass" for it in own),
        "are settings": sum(it.verdict == "a setting" for it in own),
        f"are {UNMEASURED}": sum(it.verdict == UNMEASURED for it in own),
    }
    claim = share(inputs.writeup["claims"]["functionality_preserved"]).replace(".0%", " %")
    said = ", ".join(f"{count} {words}" for words, count in counted.items() if count)
    return (
        f'"{claim} functionality preserved": of the {len(own)} passes and settings that the'
        " write-up's techniques "
        f"are, {said}. With what is proven, the checks pass on {len(held)} of"
        f" {len(inputs.services)} images "
        f"({', '.join(held) or UNMEASURED})."
    )


def technique(each: dict[str, Any], name: str, inputs: Inputs) -> Found:
    """What is known of one pass of a technique: on layers, as a variable, or as a setting."""
    if "instead" in each:
        return Found("no pass", words=each["instead"])
    if name.startswith("setting."):
        return Found("a setting", words=_setting(each.get("measured", ""), inputs))
    if name.startswith("environment."):
        return variable(name, inputs)
    return found(name, inputs)


def _setting(where: str, inputs: Inputs) -> str:
    if where in _LINKS:
        return f"measured in {_LINKS[where]}"
    size = inputs.wheels.get(where)
    return f"the wheel of {where} in the lock: {small(size)}"


def variable(name: str, inputs: Inputs) -> Found:
    """What came of a variable of the run-time environment."""
    known = inputs.images.get("environment", {}).get(name, {})
    each = next((each for each in inputs.passes if each.name == name), None)
    services = known.get("services", {})
    if not services or each is None or known.get("digest", each.digest) != each.digest:
        return Found(UNMEASURED, words="run `slimbake prove --environment`")
    failed = [
        f"{s}: {of['level']} {code(cause(of.get('error', '')))}"
        for s, of in services.items()
        if not of["held"]
    ]
    if failed:
        return Found("refuted", words="; ".join(failed))
    costs = [
        f"{service} {words}" for service, of in sorted(services.items()) if (words := slower(of))
    ]
    return Found(
        "works",
        words="; ".join(("[measured](starts.md)", *costs)),
    )


def slower(of: Mapping[str, Any]) -> str:
    """What a variable that works costs in time, in words; none where it costs little."""
    words = {"startup": "starts", "calls": "calls"}
    ratios = of.get("ratio", {})
    worse = [
        f"{words[key]} {ratios[key]:.1f} times as long"
        for key in words
        if ratios.get(key, 0) > SLOWER
    ]
    return " and ".join(worse)


def environment(inputs: Inputs) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each variable, service and what came of it, as far as it was measured."""
    for name, known in sorted(inputs.images.get("environment", {}).items()):
        for service, of in sorted(known.get("services", {}).items()):
            yield name, service, of
