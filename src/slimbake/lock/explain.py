"""Who needs a package, in which scope, and why there. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from slimbake.errors import MANIFEST, SlimbakeError
from slimbake.fleet.model import Scope
from slimbake.host.sources import Source
from slimbake.inside.lines import some
from slimbake.lock.model import Pin

_SHOWN = 6  # chains of one package
# What uv says of a name, on a machine with an index and on one without.
_UNKNOWN = re.compile(
    r"(?<!\S)(\S+) was not found in the (?:package registry|provided package locations)"
)

Locked = Mapping[str, tuple[Pin, ...]]  # scope -> the pins that it adds


class ResolutionError(SlimbakeError):
    """Requirements contradict each other, or the manifest; carries an explanation."""

    exit_code = MANIFEST


def holders(
    package: str, scopes: Iterable[Scope], locked: Locked
) -> Iterator[tuple[Scope, Pin, list[tuple[str, ...]]]]:
    """The scopes that hold a package, parents first, with its pin and the ways that lead there: each
    from a requirement down to the package.
    """
    for scope in scopes:
        for pin in locked.get(scope.name, ()):
            if pin.name != package:
                continue
            needers: dict[str, set[str]] = {}  # of all platforms
            for part in scope.closure:
                for other in locked.get(part.name, ()):
                    needers.setdefault(other.name, set()).update(other.via)
            chains = _chains(pin.name, pin.via, needers, ())
            yield scope, pin, sorted(chains, key=lambda chain: (len(chain), chain))


def _chains(
    package: str,
    via: Collection[str],
    needers: Mapping[str, Collection[str]],
    tail: tuple[str, ...],
) -> list[tuple[str, ...]]:
    """The shortest way to each requirement; packages may need each other in a circle.

    `via`: who needs the package ("" = it is asked for); `needers`: who needs others, by their names.
    """
    way = (package, *tail)
    chains = []
    # The lock of a base that was found does not say who asks.
    if "" in via or not via:
        chains.append(way)
    for name in sorted(via):
        if name in way or not name:
            continue
        if name in needers:
            chains += _chains(name, needers[name], needers, way)[:1]
        else:  # a package of the repository has no pin
            chains.append((name, *way))
    return chains


def explanation(package: str, scopes: Iterable[Scope], locked: Locked) -> str:
    """Who needs a package, and in which scope it is; "" where no lock holds it."""
    lines = []
    for scope, pin, chains in holders(package, scopes, locked):
        lines.append(f"{package} {pin.version} in {scope.name}")
        lines += [f"  {' -> '.join(chain)}" for chain in chains[:_SHOWN]]
        if len(chains) > _SHOWN:
            lines.append(f"  and {len(chains) - _SHOWN} more ways")
    return "\n".join(lines)


def way(package: str, scope: Scope, locked: Locked) -> tuple[str, ...]:
    """The shortest way from a requirement of a scope down to a package of it, both included."""
    for _, _, ways in holders(package, [scope], locked):
        if ways:
            return ways[0]
    return (package,)


def refuse_torch(scopes: Iterable[Scope], locked: Locked) -> None:
    """Raise ResolutionError where services that run on ONNX Runtime would hold torch, with what
    requires it.
    """
    lines = []
    for scope in scopes:
        if not scope.onnx:
            continue
        for part in scope.closure:
            if any(pin.name == "torch" for pin in locked.get(part.name, ())):
                ways = " -> ".join(way("torch", part, locked))
                lines.append(f"\n  {scope.name}: torch in {part.name}, required by {ways}")
    if lines:
        raise ResolutionError(
            f"services with `inference: onnx` would hold torch{''.join(lines)}",
            "require what runs without it, or stay on torch: remove `inference`",
        )


def refuse_hashes(scope: Scope, pins: Sequence[Pin], sources: Mapping[str, Source]) -> None:
    """Raise ResolutionError where a package is none of those whose hashes a requirements file
    allows. `sources`: by their origins.
    """
    lines: dict[str, None] = {}
    builds = set()
    for allowed, pin in itertools.product(scope.asks.hashes, pins):
        if pin.name != allowed.name:
            continue
        files = {wheel.file: wheel.sha256 for wheel in pin.wheels}
        if source := sources.get(pin.built):
            files[source.file] = source.sha256
        for file, sha256 in files.items():
            if not sha256 or sha256 in allowed.sha256:
                continue
            line = f"{file} has sha256 {sha256}, which is none of the hashes in {allowed.file}"
            lines[f"\n  {line}"] = None
            if pin.version.endswith(f"+{scope.torch}"):
                builds.add(pin.name)
    if not lines:
        return
    hint = (
        "if you trust the index: write the file's hashes again, or remove them: the lock holds"
        " hashes"
    )
    if builds:
        hint = (
            f"these hashes of {', '.join(sorted(builds))} are those of another build: remove them, or"
            " write `torch: cuda` for the index's own build, with CUDA"
        )
    raise ResolutionError(
        f"the index has other files than the requirements allow{''.join(lines)}", hint
    )


def no_solution(scope: Scope, details: str, known: Collection[str]) -> ResolutionError:
    """The error for a scope that has no solution; `details` are uv's. `known`: names of packages, one
    of which may be meant by a name that no index has.
    """
    files = dict.fromkeys(
        (
            *scope.asks.files,
            *(f"{package.path}/pyproject.toml" for package in scope.asks.packages),
            *(constraint.file for constraint in scope.asks.constraints),
        )
    )
    asked_in = f"\n  (asked for in the manifest, {some([*files], _SHOWN)})" if files else ""
    subject = scope.name
    if scope.python.suffix:
        subject += f" on Python {scope.python.version}"
    if unknown := dict.fromkeys(_UNKNOWN.findall(" ".join(details.split()))):
        hints = []
        for name in unknown:
            close = get_close_matches(name, known - unknown.keys(), n=1, cutoff=0.75)
            if close:
                hints.append(f"did you mean '{close[0]}' in place of '{name}'?")
        hints.append(
            "correct the name, or use an index that has it: `slimbake doctor` shows this machine's"
        )
        names = " and ".join(map(repr, unknown))
        return ResolutionError(
            f"no index has {names}, which {subject} needs{asked_in}\n{details}",
            "\n".join(hints),
        )
    hint = "correct a name or relax one of these requirements"
    if scope.kind == "service":
        hint += ", or bake a Dockerfile of its own (`dockerfile:`)"
    if scope.chain:
        subject += f", which takes the versions of {', '.join(base.name for base in scope.chain)}"
        hint += "; or take the service off that base"
    if "exclude-newer" in details:
        hint += "; `lock: {except: [NAME]}` lets a package be newer"
    return ResolutionError(f"no solution for {subject}{asked_in}\n{details}", hint)
