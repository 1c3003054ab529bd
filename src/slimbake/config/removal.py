"""`remove:` and `keep:` of bases and services: globs that nobody may write. Pure."""

from __future__ import annotations

from typing import Any

from slimbake.config.report import ProblemReport
from slimbake.inside.globs import LICENCE


def removals(raw: dict[str, Any], report: ProblemReport) -> None:
    """Report globs that take metadata of packages, or licences."""
    for kind in ("bases", "services"):
        for name, entry in raw.get(kind, {}).items():
            for index, glob in enumerate(entry.get("remove", ())):
                named = [part for part in (glob or "").split("/") if part.strip("*")]
                metadata = any(part.endswith(".dist-info") for part in named)
                if metadata or (named and LICENCE.fullmatch(named[-1].replace("*", ""))):
                    what = "metadata of packages" if metadata else "a licence"
                    path = (kind, name, "remove", index)
                    report.value(path, f"'{glob}' removes {what}", "remove this glob")
