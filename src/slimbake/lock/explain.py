"""Who needs a package, in which scope, and why there. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from slimbake.console.tables import some
from slimbake.errors import MANIFEST, SlimbakeError
from slimbake.fleet.model import Scope
from slimbake.host.sources import Source
from slimbake.lock.model import Pin

_SHOWN = 6  # chains of one package
# What uv says of a name, on a machine with an index and on one without.
_UNKNOWN = re.compile(r"(\S+) was not found in the (?:package registry|provided package locations)")

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
            if pin.name == package:
                needers: dict[str, set[str]] = {}  # of all platforms
                for part in scope.closure:
                    for each in locked.get(part.name, ()):
                        needers.setdefault(each.name, set()).update(each.via)
                chains = _chains(pin.name, pin.via, needers, ())
                yield scope, pin, sorted(chains, key=lambda chain: (len(chain), chain))


def _chains(
    package: str,
    via: Iterable[str],
    needers: Mapping[str, Collection[str]],
    tail: tuple[str, ...],
) -> list[tuple[str, ...]]:
    """The shortest way to each requirement; packages may need each other in a circle.

    `via`: who needs the package ("" = it is asked for); `needers`: who needs others, by their names.
    """
    way = (package, *tail)
    names = sorted(via)
    # a base that was found does not say who asks
    chains = [way] if "" in names or not names else []
    for name in names:
        if name and name not in way:
            # What is no pin is a package of the repository.
            known = name in needers
            chains += _chains(name, needers[name], needers, way)[:1] if known else [(name, *way)]
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
    chains = (chain for *_, ways in holders(package, [scope], locked) for chain in ways)
    return next(chains, (package,))


def refuse_torch(scopes: Iterable[Scope], locked: Locked) -> None:
    """Raise ResolutionError where services that run on ONNX Runtime would hold torch, with what
    requires it.
    """
    lines = [
        f"{scope.name}: torch in {part.name}, required by {' -> '.join(way('torch', part, locked))}"
        for scope in scopes
        for part in (scope.closure if scope.onnx else ())
        if any(pin.name == "torch" for pin in locked.get(part.name, ()))
    ]
    if lines:
        raise ResolutionError(
            "services with `inference: onnx` would hold torch\n"
            + "\n".join(f"  {line}" for line in lines),
            "require what runs without it, or stay on torch: remove `inference`",
        )


def refuse_hashes(scope: Scope, pins: Sequence[Pin], sources: Mapping[str, Source]) -> None:
    """Raise ResolutionError where a package is none of those whose hashes a requirements file
    allows. `sources`: by their origins.
    """
    lines = []
    builds = set()
    for allowed, pin in itertools.product(scope.asks.hashes, pins):
        if pin.name != allowed.name:
            continue
        files = {wheel.file: wheel.sha256 for wheel in pin.wheels}
        if source := sources.get(pin.built):
            files[source.file] = source.sha256
        for file, sha256 in files.items():
            if sha256 and sha256 not in allowed.sha256:
                lines.append(
                    f"{file} has sha256 {sha256}, which is none of the hashes in {allowed.file}"
                )
                if pin.version.endswith(f"+{scope.torch}"):
                    builds.add(pin.name)
    if lines:
        raise ResolutionError(
            "the index has other files than the requirements allow\n"
            + "\n".join(f"  {line}" for line in dict.fromkeys(lines)),
            f"these hashes of {', '.join(sorted(builds))} are those of another build: remove them, or"
            " write `torch: cuda` for the index's own build, with CUDA"
            if builds
            else "if you trust the index: write the file's hashes again, or remove them: the lock"
            " holds hashes",
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
    shown = f"\n  (asked for in the manifest, {some([*files], _SHOWN)})" if files else ""
    stands = ", ".join(base.name for base in scope.chain)
    python = f" on Python {scope.python.version}" if scope.python.suffix else ""
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
            f"no index has {names}, which {scope.name}{python} needs{shown}\n{details}",
            "\n".join(hints),
        )
    takes = f", which takes the versions of {stands}" if stands else ""
    return ResolutionError(
        f"no solution for {scope.name}{python}{takes}{shown}\n{details}",
        "correct a name or relax one of these requirements"
        + ", or bake a Dockerfile of its own (`dockerfile:`)" * (scope.kind == "service")
        + ("; or take the service off that base" if stands else "")
        + "; `lock: {except: [NAME]}` lets a package be newer" * ("exclude-newer" in details),
    )
