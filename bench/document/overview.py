"""docs/results.md: sizes with losses, the write-up's claims, charts, and where all tables are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slimbake.console.tables import UNMEASURED

from .cells import difference, mb, share, table
from .images import BAKE, CENSUS, losses
from .inputs import Inputs, by_hand, sharing, weights

_CLAIMED = ("image, MB without its model", "claimed", "slimbake", "modules", "files lost", "calls")


def page(inputs: Inputs, tables: Iterable[tuple[str, str]]) -> str:
    """The whole page. `tables`: title and address of each page of tables."""
    return "\n\n".join(
        (
            "# Results",
            "All figures are of the example, `atlas`. Sizes are uncompressed; MB are 1,000,000 bytes."
            f" Sizes of hand-written images and build times: {BAKE}. What an image lost: {CENSUS}."
            " [Images](results/images.md) says what is counted.",
            "## Sizes",
            "![Sizes of images](pictures/sizes.svg)",
            "![Eight images together](pictures/sharing.svg)",
            "Both sides share what they share:",
            table(("eight images, MB", "by hand", "slimbake"), _together(inputs)),
            "## The write-up's claims",
            "slimbake began with a write-up: clean-ups of three images by hand, with claims of what"
            " they save. Its sizes are without models.",
            table(_CLAIMED, _claimed(inputs)),
            table(("claim", "measured", "verdict"), _claims(inputs)),
            "What became of its techniques: [a record](results/techniques.md).",
            "## Starts and builds",
            "![Start-up and memory](pictures/serving.svg)",
            "![Build time](pictures/builds.svg)",
            "## All tables",
            "\n".join(f"- [{title}]({address})" for title, address in tables)
            + "\n- [Precision of an encoder](inference-figures.md)"
            + "\n- [Precision of a decoder](generation-figures.md)",
            "The numbers are in `bake/` and `bench/results/`, as JSON. `bench/results.py` writes these"
            " pages; a test fails if one differs from the numbers. A measurement of other images than"
            " those of `bake/sizes.json` counts as unmeasured.",
        )
    )


def _together(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    hand = by_hand(inputs)
    found = sharing(inputs, inputs.defaults)
    for place, unit in (("host", "uncompressed"), ("registry", "compressed")):
        images = [hand.get("images", {}).get(name, {}).get(unit) for name in inputs.defaults]
        alone = None if None in images else sum(each for each in images if each is not None)
        yield (f"on a {place}, each alone", mb(alone), mb(found[place].get("alone")))
        shared = hand.get(f"unique_on_{place}")
        yield (f"on a {place}, shared", mb(shared), mb(found[place].get("shared")))


def _claimed(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    for name, claim in inputs.writeup["images"].items():
        whole = inputs.images.get(name, {}).get("uncompressed")
        ours = difference(whole, weights(inputs, name))
        yield (name, f"{claim['before']:,} -> {claim['after']:,}", mb(ours), *losses(name, inputs))


def _claims(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    claimed = inputs.writeup["claims"]
    for place, known in sharing(inputs, inputs.defaults).items():
        saved = 1 - known["shared"] / known["alone"] if known else None
        yield (
            f"a shared base saves {claimed['shared_base_saves']:.0%} (on a {place})",
            UNMEASURED
            if saved is None
            else f"{share(saved)}: {mb(known['shared'])} instead of {mb(known['alone'])} MB",
            _verdict(None if saved is None else saved >= claimed["shared_base_saves"]),
        )
    counted = inputs.census.values()
    modules, calls = (sum(of[key] for of in counted) for key in ("modules", "calls"))
    gone = modules - sum(of["found"] for of in counted)
    lost, differ = (sum(len(of[key]) for of in counted) for key in ("lost", "differ"))
    yield (
        f"{claimed['functionality_preserved']:.0%} of functions preserved",
        f"{gone} of {modules:,} modules and {lost} files lost, {differ} of {calls:,} calls differ"
        if counted
        else UNMEASURED,
        _verdict(not gone + lost + differ if counted else None),
    )


def _verdict(reached: bool | None) -> str:
    return UNMEASURED if reached is None else "true" if reached else "not reached"
