"""What a scanner sees of images: packages, and files with set-uid. Pure."""

from __future__ import annotations

from slimbake.console.tables import UNMEASURED

from .cells import table
from .inputs import BY_HAND, Inputs

_HEADS = ("image", "built", "Debian packages", "Python packages", "set-uid files")
_SIDES = {"": "from outside", BY_HAND: "by hand"}


def figures(inputs: Inputs) -> str:
    """A row for each image, the image from outside first."""
    scan = inputs.scan
    if not scan:
        return f"Packages that a scanner finds: {UNMEASURED}: run `bench/scan.py --record`."
    rows = []
    for image in scan["images"]:
        counts = (image["debian"], image["python"], len(image["set_id"]))
        side = _SIDES.get(image["side"], image["side"])
        rows.append((f"`{image['name']}`", side, *(f"{count:,}" for count in counts)))
    stand_in = (
        " Debian's Python with pip stands in for the official image here."
        if scan["stand_in"]
        else ""
    )
    return "\n\n".join(
        (
            "Each package is one that may have a vulnerability, and a file with set-uid or set-gid runs"
            f" as its owner. Packages as {scan['scanner']} finds them in the image, without a database of"
            f" vulnerabilities (`bench/scan.py --record`).{stand_in}",
            table(_HEADS, rows),
        )
    )
