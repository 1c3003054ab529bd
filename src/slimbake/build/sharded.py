"""From a manifest to images in a registry, built on several nodes: what `slimbake bake --shards`
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from slimbake import docker
from slimbake.build import bake
from slimbake.build.command import Options
from slimbake.build.estimates import estimated
from slimbake.build.events import Change
from slimbake.build.nodes import run_shards
from slimbake.build.prepare import Prepared, prepared
from slimbake.build.record import keep_costs, read_costs
from slimbake.build.release import COSTS, Release, refuse_standins
from slimbake.build.show import plain
from slimbake.build.split import Shard, split
from slimbake.build.staged import STAGED, outputs
from slimbake.config.model import Manifest
from slimbake.console import Console
from slimbake.errors import BuildError, CheckError
from slimbake.registry import ImageRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharded:
    """An image that a shard pushed."""

    name: str
    image: str  # under its tag
    digest: str
    shard: int
    wave: int
    node: str  # the builder


def released(
    manifest: Manifest,
    services: tuple[str, ...],
    options: Options,
    names: Release,
    nodes: tuple[str, ...],
    console: Console,
) -> tuple[Sharded, ...]:
    """Build these services and what they stand on in one shard for each node, and push them, each
    once its smoke holds.

    `nodes`: buildx builders, of which two may be the same one; a Docker context is one too. Raises
    what `slimbake.build.release.release` does; what another shard's failure leaves alone is pushed and
    tagged all the same.
    """
    root = manifest.file.parent
    with prepared(
        manifest,
        services,
        console,
        frozen=names.frozen,
        install=names.install,
        packages=names.packages,
    ) as ready:
        refuse_standins(ready.around, names.registry)
        shards = split(
            ready.plan, services, estimated(ready.plan, read_costs(root / COSTS)), len(nodes)
        )
        pushed: list[Sharded] = []
        seconds: dict[str, float] = {}

        def run(shard: Shard, builder: str, images: Mapping[str, str]) -> dict[str, str]:
            made = _baked(ready, manifest, shard, replace(options, builder=builder), names, images)
            seconds.update(made.seconds)
            pushed.extend(
                _tagged(ready, name, digest, shard, builder, names)
                for name, digest in made.digests.items()
            )
            if made.failures:
                kind = (
                    CheckError
                    if all(isinstance(each, CheckError) for each in made.failures)
                    else BuildError
                )
                raise kind("\n".join(map(str, made.failures)))
            return {
                name: f"{names.registry}/{ready.plan.target(name).repository}@{digest}"
                for name, digest in made.digests.items()
            }

        try:
            run_shards(shards, nodes, run, docker.cancel_builds, console)
        except (BuildError, CheckError) as error:
            tagged = ", ".join(image.image for image in _ordered(ready, pushed))
            raise type(error)(error.message, f"tagged all the same: {tagged or 'none'}") from None
        finally:
            keep_costs(root / COSTS, seconds)
        return _ordered(ready, pushed)


def _ordered(ready: Prepared, images: list[Sharded]) -> tuple[Sharded, ...]:
    order = {target.name: number for number, target in enumerate(ready.plan.targets)}
    return tuple(sorted(images, key=lambda each: order[each.name]))


def _baked(
    ready: Prepared,
    manifest: Manifest,
    shard: Shard,
    options: Options,
    names: Release,
    images: Mapping[str, str],
) -> bake.Pushed:
    """Build a shard's targets, run their smokes, and push them under a name that nobody uses."""
    plan = ready.plan
    staged = {
        name: f"{names.registry}/{plan.target(name).repository}:{STAGED}{plan.target(name).suffix}"
        for name in shard.targets
    }
    sets = (*outputs(plan, shard.targets), *options.sets)
    around = replace(ready.around, pushed=images)

    def shown(change: Change) -> None:
        plain(change, f"shard {shard.number}: ")

    made = bake.bake_and_push(
        plan,
        shard.targets,
        manifest.file.parent,
        around,
        replace(options, names=staged, sets=sets),
        shown,
    )
    if not made.failures and (
        missing := [name for name in shard.targets if name not in made.digests]
    ):
        raise BuildError(f"buildx names no image for {', '.join(missing)}")
    return made


def _tagged(
    ready: Prepared, name: str, digest: str, shard: Shard, node: str, names: Release
) -> Sharded:
    """Move the tag to what was checked, in the registry itself: nothing is pulled."""
    target = ready.plan.target(name)
    repository = ImageRepository(f"{names.registry}/{target.repository}", ready.around.ca_bundle)
    try:
        found = repository.document(digest)
        if found is None:
            raise BuildError(f"{name} was pushed, and the registry does not have {digest}")
        repository.put(f"{names.tag}{target.suffix}", found)
    finally:
        repository.close()
    image = bake.references(target, names.registry, names.tag)
    return Sharded(
        name=name, image=image, digest=digest, shard=shard.number, wave=shard.wave, node=node
    )
