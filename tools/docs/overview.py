"""docs/results.md: sizes with losses, the write-up's claims, starts, parity, builds. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from slimbake.console.tables import UNMEASURED

from . import fleets, images, measurements, parity, scans, starts, suites
from .cells import difference, mb, share, table
from .inputs import Inputs, by_hand, sharing, weights

_CLAIMED = ("image, MB without its model", "claimed", "slimbake", "lost")


def page(inputs: Inputs) -> str:
    """The whole page."""
    return "\n\n".join(
        (
            "# Results",
            "Of the example, `atlas`. All figures come from JSON in `bake/` and `bench/results/`; each"
            " table names the command that measured it. MB are 1,000,000 bytes. A measurement of"
            " images of another size than `bake/sizes.json` has counts as unmeasured.",
            "## Sizes and losses",
            "![Sizes of images](pictures/sizes.svg)",
            images.figures(inputs),
            "## Eight images together",
            "![Eight images together](pictures/sharing.svg)",
            "Both sides share what they share: hosts by chain of layers, registries by blob.",
            table(("eight images, MB", "by hand", "slimbake"), _together(inputs)),
            "## What other fleets share",
            fleets.figures(inputs),
            "## The write-up's claims",
            "slimbake began with a write-up of clean-ups by hand, and claims of what they save."
            " `bench/techniques.md` in slimbake's repository says what became of each.",
            table(_CLAIMED, _claimed(inputs)),
            table(("claim", "measured", "verdict"), _claims(inputs)),
            "## Packages' own tests",
            suites.figures(inputs),
            "## What a scanner sees",
            scans.figures(inputs),
            "## Starts",
            starts.figures(inputs),
            "## Parity",
            parity.figures(inputs),
            "More of precisions: [an encoder and a decoder](inference-figures.md).",
            "## Build time",
            *(["![Build time](pictures/builds.svg)"] if inputs.bake else []),
            measurements.builds(inputs),
        )
    )


def _together(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    hand = by_hand(inputs)
    found = sharing(inputs, inputs.defaults)
    for place, unit in (("host", "uncompressed"), ("registry", "compressed")):
        images_by_hand = [
            hand.get("images", {}).get(name, {}).get(unit) for name in inputs.defaults
        ]
        alone = (
            None
            if None in images_by_hand
            else sum(size for size in images_by_hand if size is not None)
        )
        yield (f"on a {place}, each alone", mb(alone), mb(found[place].get("alone")))
        shared = hand.get(f"unique_on_{place}")
        yield (f"on a {place}, shared", mb(shared), mb(found[place].get("shared")))


def _claimed(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    for name, claim in inputs.writeup["images"].items():
        whole = inputs.images.get(name, {}).get("uncompressed")
        ours = difference(whole, weights(inputs, name))
        before_after = f"{claim['before']:,} -> {claim['after']:,}"
        yield (name, before_after, mb(ours), images.lost(name, inputs))


def _claims(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    claimed = inputs.writeup["claims"]
    for place, known in sharing(inputs, inputs.defaults).items():
        saved = 1 - known["shared"] / known["alone"] if known else None
        yield (
            f"a shared base saves {claimed['shared_base_saves']:.0%} on a {place}",
            UNMEASURED
            if saved is None
            else f"{share(saved)}: {mb(known['shared'])}, not {mb(known['alone'])} MB",
            _verdict(None if saved is None else saved >= claimed["shared_base_saves"]),
        )
    lost, compared = images.losses_of(inputs.census.values())
    yield (
        f"{claimed['functionality_preserved']:.0%} of functions preserved",
        f"{lost:,} of {compared:,} modules, files, calls lost" if compared else UNMEASURED,
        _verdict(not lost if compared else None),
    )


def _verdict(reached: bool | None) -> str:
    return UNMEASURED if reached is None else "true" if reached else "not reached"
