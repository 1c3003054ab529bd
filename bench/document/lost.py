"""What images lose at each level, and what the first use of cold code costs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slimbake.console.tables import UNMEASURED

from .cells import mb, table
from .inputs import Inputs

_LEVELS = (
    "level",
    "service",
    "MB",
    "modules",
    "found",
    "files",
    "kept",
    "cold",
    "passes list",
    "lost",
    "calls tried",
    "same",
)
_COLD = ("first use", "cold ms", "without passes ms", "ratio", "MB of process", "ratio")


def figures(inputs: Inputs) -> str:
    """Modules, files and calls by level, and first uses."""
    return "\n\n".join((_levels(inputs), _cold(inputs)))


def _levels(inputs: Inputs) -> str:
    if not inputs.levels:
        return f"Modules, files and calls by level: {UNMEASURED}: run `bench/levels.py`."
    return "\n\n".join(
        (
            (
                "Each image beside the same one without passes. Modules: of all that can be imported"
                " there, those that are found here. Files: of all that the wheels brought, those on"
                " disk as they were, those in the cold store, and those that a pass lists, removed or"
                " without the symbols that only debuggers read. Calls: chosen from documentation"
                " (`tests/engine/probes`), with the same outcome in both. `lossless` is the level"
                " where the manifest says nothing, with those passes that this image shows to take"
                " what it cannot use."
            ),
            table(_LEVELS, _rows(inputs)),
        )
    )


def _rows(inputs: Inputs) -> Iterator[tuple[str, ...]]:
    for level, services in inputs.levels.items():
        for service, of in services.items():
            files: dict[str, int] = of["files"]
            listed = files.get("changed", 0) + files.get("removed", 0)
            counts = (
                of["modules"],
                of["found"],
                sum(files.values()),
                files.get("disk", 0),
                files.get("cold", 0),
                listed,
                of["lost"],
                of["tried"],
                of["tried"] - len(of["differ"]),
            )
            yield (level, service, mb(of["bytes"]), *(f"{count:,}" for count in counts))


def _cold(inputs: Inputs) -> str:
    if not inputs.cold:
        return f"First uses of cold code: {UNMEASURED}: run `bench/cold.py`."
    found: dict[str, Any] = dict(inputs.cold)
    module = found.pop("module of 50 kB")
    return "\n\n".join(
        (
            (
                "First uses of cold code in a worker, beside the same image without passes and"
                " without bytecode, taking turns; medians (`bench/cold.py`). A cold module of 50 kB"
                f" is found, decompressed and compiled in {module['seconds'] * 1e3:.1f} ms, the median"
                f" of {module['count']}."
            ),
            table(
                _COLD,
                (
                    (
                        case,
                        f"{of['cold']['seconds'] * 1e3:,.1f}",
                        f"{of['without passes']['seconds'] * 1e3:,.1f}",
                        f"{of['ratio']['seconds']:.2f}",
                        mb(of["cold"]["resident"]),
                        f"{of['ratio']['resident']:.2f}",
                    )
                    for case, of in found.items()
                ),
            ),
        )
    )
