"""Warm lists: the modules of a layer that starts need, which therefore stay on disk. Pure.

All other modules of the layer may go to its cold store, from where they still can be imported. So a
list need not be exact, and one that was traced on one platform serves the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from slimbake.errors import SetupError
from slimbake.host.typed import WRONG, typed
from slimbake.inside.cold.layout import SOURCE, TEXT

_HEADER = """\
# The modules of {layer} that a start of some service imports: their bytecode stays on disk, and their
# sources where a start reads them ("source"). Files that it opens by their paths stay ("text"), and
# the modules of folders that it lists ("folder/"). All else may go to the cold store. Made by
# `slimbake bake` the first time; `slimbake lock --warm` refreshes it.
"""
_LINE = re.compile(rf"(?!/)(?!.*(^|/)\.\.?(/|$))[^\\\0]+(\.py({SOURCE}|{TEXT})?|/)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """What the start and the checks of one service use of its packages."""

    service: str
    modules: Mapping[str, str] = field(default_factory=dict)  # relative to site-packages: package
    read: frozenset[str] = frozenset()  # those of the modules whose sources were read
    seen: bool = True  # whether any of it ran in a Python that reports what it uses
    fault: str = ""  # what does not hold, with its last words

    def of(self, packages: Collection[str]) -> frozenset[str]:
        """The lines for a layer that has these packages."""
        return frozenset(
            f"{name}{SOURCE}" if name in self.read else name
            for name, package in self.modules.items()
            if package in packages
        )


def read_traced(service: str, text: str) -> Traced:
    """What a trace in the image of a service has written. Raises SetupError for anything else."""
    try:
        record = json.loads(text)
        kept = {key: record[key] for key in ("modules", "seen", "fault")}
        traced = typed(Traced, {**kept, "service": service, "read": frozenset(record["read"])})
        odd = [
            name for name in traced.modules if not (name.isprintable() and _LINE.fullmatch(name))
        ]
        if odd or not all(isinstance(module, str) for module in traced.modules.values()):
            raise ValueError(f"these are no modules: {odd[:3]}")
    except WRONG as error:
        raise SetupError(f"the trace of {service} cannot be read: {error}") from None
    return traced


def warm_lines(traced: Iterable[Traced], packages: Collection[str]) -> tuple[str, ...]:
    """What any of these services needs of a layer that has these packages."""
    lines = frozenset[str]().union(*(trace.of(packages) for trace in traced))

    def said(line: str) -> bool:
        """Whether another line says it, too: the source of a module stays, or all of a folder."""
        folder = f"{line.rpartition('/')[0]}/"
        return f"{line}{SOURCE}" in lines or (line.endswith(TEXT) and folder in lines)

    return tuple(sorted(line for line in lines if not said(line)))


def warm_text(layer: str, lines: Collection[str]) -> str:
    """The file: made to be committed and reviewed."""
    return _HEADER.format(layer=layer) + "".join(f"{line}\n" for line in sorted({*lines}))


def parse_warm(text: str) -> tuple[str, ...]:
    """The lines of a list, sorted; none where no start needs anything of the layer.

    Raises ValueError with the first line that names no module, and for a file that was cut off.
    """
    if not text.endswith("\n"):
        raise ValueError("it is cut off: its last line has no end" if text else "it is empty")
    lines = {line for line in text.splitlines() if line and not line.startswith("#")}
    for line in sorted(lines):
        if not _LINE.fullmatch(line):
            raise ValueError(
                f"'{line}' is neither a module (.py, .py{SOURCE}, .py{TEXT}) nor a folder/"
            )
    return tuple(sorted(lines))
