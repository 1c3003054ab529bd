"""What is wrong with a glob of a pass, in words that fix it. Pure."""

from __future__ import annotations

import re

from slimbake.inside.globs import LICENCE

Wording = tuple[str, str]

_PREFIX = "/opt/slimbake/"
_SITE = re.compile(r"/(?:opt/slimbake/)?lib/python[^/]*/site-packages/(?P<rest>.+)")
_LETTERS = re.compile(r"[\[\]{}\\]")
_METADATA = re.compile(r".*\.dist-info")


def fault(glob: str) -> Wording | None:
    """What is wrong with it: a message, and a hint."""
    parts = glob.removeprefix("/").split("/")
    if ".." in parts:
        hint = "write the path itself: below site-packages, or with a leading '/' below the prefix"
        return f"'{glob}' leads out of the layer", hint
    if found := _LETTERS.search(glob):
        hint = (
            "folders are separated with '/'"
            if found[0] == "\\"
            else "special are '*', '?' and '**' alone: '?' is any letter"
        )
        return f"'{found[0]}' in '{glob}'", hint
    nothing = f"'{glob}' matches nothing"
    if site := _SITE.fullmatch(glob):
        return (
            nothing,
            f"globs without '/' in front are below site-packages: did you mean '{site['rest']}'?",
        )
    if glob.startswith(_PREFIX):
        return (
            nothing,
            f"the leading '/' is the prefix: did you mean '/{glob.removeprefix(_PREFIX)}'?",
        )
    if glob.endswith("/") and glob.strip("/"):
        return f"{nothing}: globs are of files", f"did you mean '{glob.rstrip('/')}/**'?"
    if "" in parts or "." in parts:
        fixed = "/" * glob.startswith("/") + "/".join(
            part for part in parts if part not in ("", ".")
        )
        return nothing, f"did you mean '{fixed}'?" if fixed.strip("/") else "name files"
    for part in parts:
        if "**" in part and part != "**":
            fixed = glob.replace(part, re.sub(r"\*\*+", "**/*", part) if part.strip("*") else "**")
            return (
                f"'{part}' in '{glob}': '**' stands for folders, alone between slashes",
                f"did you mean '{fixed}'?",
            )
    return None


def protected(glob: str) -> Wording | None:
    """Whether it names outright what no pass removes: metadata of packages, and licences."""
    parts = glob.removeprefix("/").split("/")
    if any(_METADATA.fullmatch(part) for part in parts):
        return (
            f"'{glob}' names metadata, which no pass removes",
            "a package goes with its metadata: `drop: [NAME]`",
        )
    named = [part for part in parts if part.strip("*")]
    if named and LICENCE.fullmatch(named[-1].replace("*", "")):
        return f"'{glob}' names a licence, which no pass removes", "remove this glob"
    return None
