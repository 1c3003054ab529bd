"""The limits of a fleet's images, as the engine holds them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from slimbake import docker
from slimbake.checks.limits import Action, Laid, Limits, Observed, beside_prefix, limits, times
from slimbake.checks.observe import observed
from slimbake.console import Console
from slimbake.console.tables import FOLDED, UNMEASURED, Layout, megabytes, text_table
from slimbake.host.workspace import Workspace
from slimbake.images import Engine, Source, streams, this_platform
from slimbake.images.contents import clean
from slimbake.images.measured import stored
from slimbake.plan.graph import layers
from slimbake.plan.model import Plan

RUNTIME = "runtime"


def measured_limits(
    plan: Plan,
    ids: Mapping[str, str],
    root: Path,
    workspace: Workspace,
    console: Console,
    smallest: Mapping[str, int],
    *,
    again: bool = False,
) -> tuple[Limits, ...]:
    """Observe the smokes of these images, one after the other, and say what each could not go
    below.

    `ids`: service -> image id, of the whole fleet; `workspace`: keeps what was found; `smallest`:
    service -> bytes below the prefix that a search left; `again`: smokes are observed again. A service without a smoke is not observed. Raises CheckError where one
    does not hold, SetupError where an image cannot be read.
    """
    smokes = {target.service: target for target in plan.targets if target.kind == "smoke"}
    found: dict[str, Observed] = {}
    for service in plan.services:
        name = service.service
        if name in ids and name in smokes:
            console.say(f"observing {name}")
            found[name] = observed(ids[name], service, smokes[name], root, workspace, again)
    if others := docker.running_containers():
        console.say(
            f"other containers run ({len(others)}): pages that they touch are not distinguished where"
            " they share a layer"
        )
    with contextlib.closing(Engine(ids, this_platform())) as engine:
        source = Source(stored(ids, workspace) or engine.images, engine)
        laid = _laid(plan, source, files(source, workspace))
        return limits(
            laid,
            found,
            {n: s + beside_prefix(laid[n][1]) for n, s in smallest.items() if n in laid},
        )


def _laid(
    plan: Plan, source: Source, held: Mapping[str, Mapping[str, int]]
) -> dict[str, tuple[str, tuple[Laid, ...]]]:
    """Each image's layers. Those of the runtime are known from any image that slimbake has laid out
    itself.
    """
    named = {image.name: layers(plan, image.name) for image in source.images}
    runtime = {
        layer.diff
        for image in source.images
        if len(named[image.name]) == len(image.layers)
        for layer, name in zip(image.layers, named[image.name], strict=True)
        if name == RUNTIME
    }
    return {
        image.name: (
            image.digest,
            tuple(
                Laid(layer.diff, held[layer.diff], layer.diff in runtime) for layer in image.layers
            ),
        )
        for image in source.images
    }


HEADINGS = (
    "image",
    "left",
    "bytes",
    "opened",
    "ratio",
    "smallest found",
    "ratio",
    "pages touched",
    "ratio",
    "above the runtime",
    "used",
    "ratio",
)


def limits_text(found: Sequence[Limits], layout: Layout = FOLDED) -> str:
    """A table, and a line for each image whose pages others touched too."""
    lines = [text_table(HEADINGS, [_row(each) for each in found], layout=layout)]
    lines += [
        f"{each.service}: others read {megabytes(each.disturbed)} of its files meanwhile, or kept"
        " them: not counted"
        for each in found
        if each.disturbed is not None
        and each.touched is not None
        and each.disturbed > each.touched / 20
    ]
    return "\n".join(lines)


def above(found: Sequence[Limits], most: float) -> tuple[str, ...]:
    """The images that are not known to keep to so many times what is used, each with what was
    found.
    """
    return tuple(
        _above(each, most)
        for each in found
        if each.above and (each.ratio is None or each.ratio > most)
    )


def _above(each: Limits, most: float) -> str:
    if each.ratio is None:
        return (
            f"{each.service}: what is used of its {megabytes(each.above)} above the runtime is"
            " unmeasured"
        )
    return (
        f"{each.service}: {megabytes(each.above)} above the runtime are {_times(each.ratio)} "
        f"the {megabytes(each.used)} that are used, {most:g}x at most"
    )


def _row(each: Limits) -> tuple[str, ...]:
    parts = [(size, times(each.image, size)) for size in (each.opened, each.smallest, each.touched)]
    cells = [cell for size, ratio in parts for cell in (megabytes(size), _times(ratio))]
    left = UNMEASURED if each.left is None else ", ".join(map(_action, each.left)) or "nothing"
    return (
        each.service,
        left,
        megabytes(each.image),
        *cells,
        megabytes(each.above),
        megabytes(each.used),
        _times(each.ratio),
    )


def _action(action: Action) -> str:
    words = f"{action.kind} than {action.what}" if action.what else action.kind
    return f"{words} {megabytes(action.bytes)}"


def _times(ratio: float | None) -> str:
    return UNMEASURED if ratio is None else f"{ratio:.2f}x"


def files(source: Source, workspace: Workspace) -> Mapping[str, Mapping[str, int]]:
    """Of each layer of these images, by the digest of its tar, path -> bytes. Hard links hold none
    of their own.

    Raises SetupError where a layer cannot be read.
    """
    found: dict[str, dict[str, int]] = {}
    for image in source.images:
        for layer in image.layers:
            if layer.diff in found:
                continue
            key = f"limits/files-{layer.diff.removeprefix('sha256:')}"
            known: dict[str, int] | None = workspace.read(key, dict)
            if known is None:
                with streams.layer(source.blobs, layer) as tar:
                    known = {
                        clean(member.name): member.size
                        for member, content in streams.members(tar)
                        if content
                    }
                workspace.write(key, known)
            found[layer.diff] = known
    return found
