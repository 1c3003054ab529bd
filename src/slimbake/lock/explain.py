"""Who needs a package, in which layer, and why there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slimbake.console.tables import some
from slimbake.errors import MANIFEST, SlimbakeError
from slimbake.fleet.model import Layer
from slimbake.host.sources import Source
from slimbake.lock.model import Family, Pin

_SHOWN = 6  # chains of one package

Locked = Mapping[str, tuple[Pin, ...]]  # layer -> the pins that it adds

# What a machine without a GPU has no use for. `nvidia-ml-py` is Python that asks a driver, and
# harmless.
_CUDA = re.compile(
    r"nvidia-(?!ml-py$).*|cuda-.*|cupy-cuda.*|triton|tensorrt.*|onnxruntime-gpu|.*-cu1\d"
)


class ResolutionError(SlimbakeError):
    """The requirements of a family contradict each other, or the manifest; carries an explanation."""

    exit_code = MANIFEST


@dataclass(frozen=True, slots=True)
class Holder:
    """A layer that holds a package, and the ways that lead there: each from a requirement down to
    the package.
    """

    layer: Layer
    pin: Pin
    chains: tuple[tuple[str, ...], ...]


def holders(package: str, family: Family, locked: Locked) -> tuple[Holder, ...]:
    """The layers of a family that hold a package, parents first."""
    found = []
    for layer in family.layers:
        pin = next((pin for pin in locked.get(layer.name, ()) if pin.name == package), None)
        if pin:
            known = {p.name: p for part in layer.closure for p in locked.get(part.name, ())}
            chains = sorted(_chains(pin, known, ()), key=lambda chain: (len(chain), chain))
            found.append(Holder(layer, pin, tuple(chains)))
    return tuple(found)


def _chains(pin: Pin, known: Mapping[str, Pin], below: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The shortest way to each requirement; packages may need each other in a circle."""
    way = (pin.name, *below)
    # a base that was found does not say who asks
    chains = [way] if "" in pin.via or not pin.via else []
    for name in pin.via:
        if name and name not in way:
            # What is no pin is a package of the repository.
            chains += _chains(known[name], known, way)[:1] if name in known else [(name, *way)]
    return chains


def explanation(package: str, families: Iterable[Family], locked: Locked) -> str:
    """Who needs a package, and in which layer it is; "" where no lock holds it."""
    lines = []
    for family in families:
        for owner in holders(package, family, locked):
            lines.append(f"{package} {owner.pin.version} in {owner.layer.name}")
            lines += [f"  {' -> '.join(chain)}" for chain in owner.chains[:_SHOWN]]
            if len(owner.chains) > _SHOWN:
                lines.append(f"  and {len(owner.chains) - _SHOWN} more ways")
    return "\n".join(lines)


def refuse_cuda(family: Family, locked: Locked) -> None:
    """Raise ResolutionError where a family with `torch: cpu` holds a CUDA package, with the
    requirement behind it.
    """
    if family.torch != "cpu":
        return
    lines = []
    for layer in family.layers:
        for pin in locked[layer.name]:
            if _CUDA.fullmatch(pin.name) or re.search(r"\+cu\d", pin.version):
                (owner,) = (
                    o for o in holders(pin.name, family, locked) if o.layer.name == layer.name
                )
                way = " -> ".join(owner.chains[0]) if owner.chains else pin.name
                lines.append(f"{layer.name}: {pin.name}=={pin.version}, required by {way}")
    if lines:
        raise ResolutionError(
            f"a {'fleet' if family.found else 'base'} with `torch: cpu` would hold CUDA packages\n"
            + "\n".join(f"  {line}" for line in lines),
            "require the CPU build of what pulls them in, or say `torch: pypi` or a CUDA version",
        )


def refuse_torch(family: Family, locked: Locked) -> None:
    """Raise ResolutionError where a service that runs on ONNX Runtime would hold torch, with what
    requires it.
    """
    lines = []
    for layer in family.layers:
        below = {each.name for each in layer.closure} if layer.onnx else frozenset()
        for owner in holders("torch", family, locked) if below else ():
            if owner.layer.name in below:
                way = " -> ".join(owner.chains[0]) if owner.chains else "torch"
                lines.append(f"{layer.name}: torch in {owner.layer.name}, required by {way}")
    if lines:
        raise ResolutionError(
            "services with `inference: onnx` would hold torch\n"
            + "\n".join(f"  {line}" for line in lines),
            "require what runs without it, or stay on torch: remove `inference`",
        )


def refuse_no_torch(family: Family, locked: Locked) -> None:
    """Raise ResolutionError where a build of torch is chosen and nothing of the family needs torch."""
    layers = [layer for layer in family.layers if layer.torch]
    held = (pin.name.startswith("torch") for pins in locked.values() for pin in pins)
    if layers and not family.found and not any(held):
        raise ResolutionError(
            f"`torch: {layers[0].torch}` chooses a build of torch, and no package of"
            f" {', '.join(layer.name for layer in layers)} needs torch",
            "add torch to the requirements, or remove this key",
        )


def refuse_hashes(family: Family, locked: Locked, sources: Mapping[str, Source]) -> None:
    """Raise ResolutionError where a package is none of those whose hashes a requirements file
    allows.
    """
    lines = []
    for layer in family.layers:
        for allowed in layer.asks.hashes:
            for owner in holders(allowed.name, family, locked):
                source = sources.get(allowed.name)
                files = {wheel.file: wheel.sha256 for wheel in owner.pin.wheels}
                files |= {source.file: source.sha256} if source else {}
                lines += [
                    f"{file} has sha256 {sha256}, which is none of the hashes in {allowed.file}"
                    for file, sha256 in files.items()
                    if sha256 and sha256 not in allowed.sha256
                ]
    if lines:
        raise ResolutionError(
            "the index has other files than the requirements allow\n"
            + "\n".join(f"  {line}" for line in dict.fromkeys(lines)),
            "if you trust the index: write the file's hashes again, or remove them: the lock holds"
            " hashes",
        )


def no_solution(family: Family, words: str) -> ResolutionError:
    """The error for a family that has no solution; `words` are uv's."""
    names = [layer.name for layer in family.layers]
    files = dict.fromkeys(
        file
        for layer in family.layers
        for file in (*layer.asks.files, *(each.file for each in layer.asks.constraints))
    )
    where = f"\n  (asked for in the manifest, {some(list(files), _SHOWN)})" if files else ""
    return ResolutionError(
        f"no solution for {some(names, _SHOWN)}, which share versions{where}\n{words}",
        "correct a name or relax one of these requirements; or give a service a base of its own,"
        " whose versions are its own",
    )
