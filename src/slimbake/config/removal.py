"""`remove:` and `keep:` of bases and services: what is wrong with their globs. Pure."""

from __future__ import annotations

import re
from typing import Any

from slimbake.config.document import KeyPath
from slimbake.config.report import ProblemReport
from slimbake.inside.globs import LICENCE

Wording = tuple[str, str]  # a message, and a hint

KEYS = ("remove", "keep")
_SITE = re.compile(r"/(?:opt/slimbake/)?lib/python[^/]*/site-packages/(?P<rest>.+)")
_LETTERS = re.compile(r"[\[\]{}\\]")


def removals(raw: dict[str, Any], report: ProblemReport) -> None:
    """Report globs that lead out of site-packages, match nothing or take metadata or licences, and a
    `keep` without `remove`.
    """
    for kind in ("bases", "services"):
        for name, entry in raw.get(kind, {}).items():
            at: KeyPath = (kind, name)
            if "keep" in entry and report.lacks(entry, "remove", at):
                report.key((*at, "keep"), "there is no `remove` to except from", "remove this key")
            if "remove" in entry and "dockerfile" in entry:
                report.key(
                    (*at, "remove"),
                    "slimbake installs nothing into an image with a `dockerfile`",
                    "remove the files there",
                )
            for key in KEYS:
                for index, glob in enumerate(entry.get(key, ())):
                    path = (*at, key, index)
                    found = glob and (_fault(glob) or (key == "remove" and _protected(glob)))
                    if found and not report.has_value(path):
                        report.value(path, *found)


def _fault(glob: str) -> Wording | None:
    """Why a glob cannot match a file below site-packages."""
    if not glob.isprintable():
        return "a control character in a glob", "remove it"
    if site := _SITE.fullmatch(glob):
        return "globs are relative to site-packages", f"did you mean '{site['rest']}'?"
    parts = glob.split("/")
    if ".." in parts or glob.startswith("/"):
        hint = "write a path below site-packages: 'torch/test/**'"
        return f"'{glob}' leads out of site-packages", hint
    if found := _LETTERS.search(glob):
        hint = "only '*', '?' and '**' are special; separate folders with '/'"
        return f"'{found[0]}' in '{glob}'", hint
    if glob.endswith("/"):
        fixed = f"{glob.rstrip('/')}/**"
        return f"'{glob}' is a folder, and globs are of files", f"did you mean '{fixed}'?"
    if "" in parts or "." in parts:
        fixed = "/".join(part for part in parts if part not in ("", "."))
        return f"'{glob}' matches nothing", f"did you mean '{fixed}'?"
    if any("**" in part and part != "**" for part in parts):
        return f"'{glob}' matches nothing", "'**' stands for folders, alone between slashes"
    return None


def _protected(glob: str) -> Wording | None:
    """Why nothing may remove what a glob names: metadata of packages, and licences."""
    named = [part for part in glob.split("/") if part.strip("*")]
    if any(part.endswith(".dist-info") for part in named):
        return f"'{glob}' removes metadata of packages", "remove this glob"
    if named and LICENCE.fullmatch(named[-1].replace("*", "")):
        return f"'{glob}' removes a licence", "remove this glob"
    return None
