"""docs/results.md: the write-up's claims row by row, four charts, and where all tables are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slimbake.console.tables import UNMEASURED

from .cells import NONE, less, mb, share, small, table
from .claims import technique
from .inputs import Inputs
from .passes import Found
from .pictures import ONNX, baked, by_hand, shared


def page(inputs: Inputs, tables: Iterable[tuple[str, str]]) -> str:
    """The whole page. `tables`: title and address of each page of tables."""
    return "\n\n".join(
        (
            "# Results",
            "slimbake began with a write-up: clean-ups of three images by hand, with claims of what"
            " they save. This page compares its claims with what was measured on the example. MB are"
            " 1,000,000 bytes.",
            "## Sizes",
            table(
                ("image, MB", "write-up", "hand-written", "slimbake", "with ONNX", "verdict"),
                _images(inputs),
            ),
            "Uncompressed, without the models. *write-up*: before and after its clean-ups."
            " *hand-written*: the same code and packages in a careful Dockerfile"
            " (`bench/baseline`).",
            "![Sizes of images](pictures/sizes.svg)",
            "## Claims",
            table(("claim", "measured", "verdict"), _claims(inputs)),
            "![Eight images together](pictures/sharing.svg)",
            "![Start-up and memory](pictures/serving.svg)",
            "![Build time](pictures/builds.svg)",
            "## Techniques",
            "Bytes are those that the technique saves on all layers of the example together.",
            table(("technique", "measured", "verdict"), _techniques(inputs)),
            "## All tables",
            "\n".join(f"- [{title}]({address})" for title, address in tables)
            + "\n- [Precision of an encoder](inference-figures.md)"
            + "\n- [Precision of a decoder](generation-figures.md)",
            "The numbers are in `bake/evidence/` and `bench/results/`, as JSON. `bench/results.py`"
            " writes these pages; a test fails if one differs from the numbers.",
        )
    )


def _images(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    for name, claim in inputs.writeup["images"].items():
        ours = baked(inputs, name)
        verdict = (
            UNMEASURED
            if ours is None
            else f"{less(ours, claim['after'] * 1e6)} below the write-up"
            if ours < claim["after"] * 1e6
            else "larger than the write-up's"
        )
        known = f"{name}{ONNX}" in inputs.sizes.get("images", {})
        yield (
            name,
            f"{claim['before']:,} -> {claim['after']:,}",
            mb(by_hand(inputs, name)),
            mb(ours),
            mb(baked(inputs, f"{name}{ONNX}")) if known else NONE,
            verdict,
        )


def _claims(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    claimed = inputs.writeup["claims"]
    for place, known in shared(inputs).items():
        alone, together = known.get("alone"), known.get("shared")
        saved = None if not alone or together is None else 1 - together / alone
        yield (
            f"a shared base saves {claimed['shared_base_saves']:.0%} (on a {place})",
            f"{share(saved)}: {mb(together)} instead of {mb(alone)} MB",
            UNMEASURED
            if saved is None
            else "true"
            if saved >= claimed["shared_base_saves"]
            else "not reached",
        )
    levels = inputs.levels.get("lossless", {})
    lost = sum(of["lost"] for of in levels.values())
    differ = sum(len(of["differ"]) for of in levels.values())
    tried = sum(of["tried"] for of in levels.values())
    yield (
        f"{claimed['functionality_preserved']:.0%} of functions preserved",
        f"at the default level: {lost} files lost, {differ} of {tried:,} calls differ"
        if levels
        else UNMEASURED,
        UNMEASURED if not levels else "true by default" if not lost + differ else "not reached",
    )


_VERDICTS = {
    "proven": "works: every check passes",
    "refuted": "breaks",
    "idle": "saves nothing today",
    "a setting": "done, as a setting",
    "no pass": "not done",
}


def _techniques(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    lossless = {each.name for each in inputs.passes if each.guarantee == "lossless"}
    for each in inputs.writeup["techniques"]:
        for name in each["by"]:
            it = technique(each, name, inputs)
            claim = f"{each['claim']} (`{name}`)" if len(each["by"]) > 1 else each["claim"]
            yield claim, _measured(it), _verdict(it, name in lossless)


def _measured(it: Found) -> str:
    if it.bytes:
        return f"{small(it.bytes)}, {small(it.zstd)} compressed"
    if it.verdict not in ("a setting", "works"):
        return NONE
    return it.words.partition("; ")[0].replace("](", "](results/")


def _verdict(it: Found, lossless: bool) -> str:
    if lossless:
        return "always done: loses nothing"
    if it.verdict == "no pass":
        return f"not done: {it.words}"
    if it.verdict.startswith("proven on"):
        return f"works where tried; {it.words}" if it.words else "works where tried"
    if it.verdict == "works" and "times as long" in it.words:
        return "works, but costs time"
    return _VERDICTS.get(it.verdict, it.verdict)
