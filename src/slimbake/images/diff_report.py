"""What `slimbake diff` prints. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from slimbake.images.difference import Diff, Difference, LayerDifference

_SHOWN = 20  # keys of a configuration; JSON has all


def diff_text(found: Diff) -> str:
    """A line for each way in which two images differ; what A has stands first."""
    if found.equal:
        return f"the same image: {found.digests[0]}"
    lines = [f"A is {found.a}: {found.digests[0]}", f"B is {found.b}: {found.digests[1]}"]
    for layer in found.layers:
        lines += _layer(layer)
    lines += [
        f"layer {number}: holds the same in both, and is compressed differently"
        for number in found.stored
    ]
    lines += _keys("configuration", found.configuration)
    lines += _keys("manifest", found.manifest)
    return "\n".join(lines)


def _layer(layer: LayerDifference) -> list[str]:
    if not layer.a or not layer.b:
        return [f"layer {layer.number}: only in {'A' if layer.a else 'B'}: {layer.paths} paths"]
    if not layer.first:
        return [
            f"layer {layer.number}: holds the same in both, in another order or another form of tar"
        ]
    more = f", and {layer.paths - 1} more paths differ" if layer.paths > 1 else ""
    lines = [f"layer {layer.number}: the first path that differs is {layer.first[0].path}{more}"]
    return [*lines, *(f"  {each.how}: {each.a} / {each.b}" for each in layer.first)]


def _keys(what: str, found: Sequence[Difference]) -> list[str]:
    lines = [f"{what}: {each.path}: {each.a} / {each.b}" for each in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"{what}: and {len(found) - _SHOWN} more keys (`--json` has all)")
    return lines
