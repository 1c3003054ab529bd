"""What stands on what: unknown bases, cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slimbake.config.axes import axes
from slimbake.config.report import ProblemReport, did_you_mean

Raw = dict[str, Any]


def bases(raw: Raw, report: ProblemReport) -> None:
    """Report what is wrong between bases, and between services and bases."""
    known: Raw = raw.get("bases", {})
    edges: dict[str, tuple[str, ...]] = {}
    for name, base in known.items():
        parent = base.get("extends")
        if parent in known:
            edges[name] = (parent,)
        elif parent is not None:
            report.value(
                ("bases", name, "extends"), f"unknown base '{parent}'", _known(parent, known)
            )
    for name, service in raw.get("services", {}).items():
        base = service.get("base")
        if base is not None and base not in known:
            report.value(("services", name, "base"), f"unknown base '{base}'", _known(base, known))
    loops = cycles(edges)
    for loop in loops:
        path = ("bases", loop[0], "extends")
        report.value(path, f"a base cycle: {' -> '.join([*loop, loop[0]])}", "remove one `extends`")
    if not loops:
        axes(raw, report)


def _known(name: str, known: Raw) -> str:
    return did_you_mean(name, known) if known else "there are no bases: add it under `bases:`"


def cycles(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The cycles that a depth-first walk meets, each once, in the direction of the edges."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start in edges:
        trail: dict[str, int] = {}
        stack = [(start, iter(edges[start]))] if start not in done else []
        if stack:
            trail[start] = 0
        while stack:
            node, following = stack[-1]
            child = next(following, None)
            if child is None:
                stack.pop()
                del trail[node]
                done.add(node)
            elif child in trail:
                found.append(list(trail)[trail[child] :])
            elif child not in done:
                trail[child] = len(stack)
                stack.append((child, iter(edges.get(child, ()))))
    return found
