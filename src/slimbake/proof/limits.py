"""The limits of a fleet's images, as the engine holds them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from slimbake import docker
from slimbake.checks.limits import Laid, Limits, Observed, beside_prefix, limits
from slimbake.checks.observe import observed
from slimbake.console import Console
from slimbake.host.workspace import Workspace
from slimbake.images import Engine, Source, this_platform
from slimbake.images.measured import stored
from slimbake.plan.layers import layers
from slimbake.plan.model import Plan
from slimbake.proof.limits_files import files

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
    service -> bytes below the prefix that a search left; `again`: smokes are observed anew. A service without a smoke is not observed. Raises CheckError where one
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
            f"other containers run ({len(others)}): pages that they touch are not told apart where"
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
