"""Who needs a package, in which scope, and why there. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from slimbake.console.tables import some
from slimbake.errors import MANIFEST, SlimbakeError
from slimbake.fleet.model import Scope
from slimbake.host.sources import Source
from slimbake.lock.model import Pin

_SHOWN = 6  # chains of one package

Locked = Mapping[str, tuple[Pin, ...]]  # scope -> the pins that it adds

# What a machine without a GPU has no use for. `nvidia-ml-py` is Python that asks a driver, and
# harmless; triton is a compiler, which openai-whisper requires on CPUs too.
_CUDA = re.compile(r"nvidia-(?!ml-py$).*|cuda-.*|cupy-cuda.*|tensorrt.*|onnxruntime-gpu|.*-cu1\d")


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


def _way(package: str, scope: Scope, locked: Locked) -> str:
    """The requirement behind a package of a scope, and what leads from there to it."""
    chains = (chain for *_, ways in holders(package, [scope], locked) for chain in ways)
    return " -> ".join(next(chains, (package,)))


def refuse_cuda(scope: Scope, pins: Sequence[Pin]) -> None:
    """Raise ResolutionError where a scope with `torch: cpu` holds a CUDA package, with the
    requirement behind it.
    """
    lines = [
        f"{scope.name}: {pin.name}=={pin.version}, required by"
        f" {_way(pin.name, scope, {scope.name: tuple(pins)})}"
        for pin in pins
        if _CUDA.fullmatch(pin.name) or re.search(r"\+cu\d", pin.version)
    ]
    if scope.torch == "cpu" and lines:
        raise ResolutionError(
            "`torch: cpu` is chosen, and there would be CUDA packages\n"
            + "\n".join(f"  {line}" for line in lines),
            "require the CPU build of what pulls them in, or say `torch: pypi` or a CUDA version",
        )


def refuse_torch(scopes: Iterable[Scope], locked: Locked) -> None:
    """Raise ResolutionError where services that run on ONNX Runtime would hold torch, with what
    requires it.
    """
    lines = [
        f"{scope.name}: torch in {part.name}, required by {_way('torch', part, locked)}"
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


def refuse_no_torch(scopes: Sequence[Scope], locked: Locked) -> None:
    """Raise ResolutionError where a build of torch is chosen, and nothing that has it needs torch."""
    having = {
        scope.torch
        for scope in scopes
        if any(pin.name.startswith("torch") for pin in locked[scope.name])
    }
    without = [scope for scope in scopes if scope.torch and scope.torch not in having]
    if without:
        raise ResolutionError(
            f"`torch: {without[0].torch}` chooses a build of torch, and no package of"
            f" {some([scope.name for scope in without], _SHOWN)} needs torch",
            "add torch to the requirements, or remove this key",
        )


def refuse_hashes(scope: Scope, pins: Sequence[Pin], sources: Mapping[str, Source]) -> None:
    """Raise ResolutionError where a package is none of those whose hashes a requirements file
    allows. `sources`: by their origins.
    """
    lines = []
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
    if lines:
        raise ResolutionError(
            "the index has other files than the requirements allow\n"
            + "\n".join(f"  {line}" for line in dict.fromkeys(lines)),
            "if you trust the index: write the file's hashes again, or remove them: the lock holds"
            " hashes",
        )


def no_solution(scope: Scope, details: str) -> ResolutionError:
    """The error for a scope that has no solution; `details` are uv's."""
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
    takes = f", which takes the versions of {stands}" if stands else ""
    return ResolutionError(
        f"no solution for {scope.name}{python}{takes}{shown}\n{details}",
        "correct a name or relax one of these requirements"
        + ", or bake a Dockerfile of its own (`dockerfile:`)" * (scope.kind == "service")
        + ("; or take the service off that base" if stands else "")
        + "; `lock: {except: [NAME]}` lets a package be newer" * ("exclude-newer" in details),
    )
