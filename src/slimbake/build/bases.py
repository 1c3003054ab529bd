"""Wave 1 of a pipeline: what services share is built once, and pushed for every job that stands on
it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from slimbake.build import bake
from slimbake.build.command import Options, Surroundings
from slimbake.build.prepare import prepared
from slimbake.build.registered import Registered
from slimbake.build.release import Release, refuse_standins
from slimbake.build.retag import retag
from slimbake.build.statement import mark
from slimbake.ci.matrix import shared_by
from slimbake.config.model import Manifest
from slimbake.console import Console
from slimbake.errors import BuildError
from slimbake.plan.model import Plan
from slimbake.registry import ImageRepository


def bases(
    manifest: Manifest,
    plan: Plan,
    services: tuple[str, ...],
    options: Options,
    names: Release,
    console: Console,
) -> dict[str, str]:
    """Build and push what these services share, each after its own, and give target ->
    REPOSITORY@DIGEST.

    With `names.missing`, what the registry has is not built, but stood on, and gets the tag of this
    version too. An exported model or a reference that fails is told of and left out: whoever needs
    it fails by itself, and no other. Raises SetupError, StaleFiles, UsageError and BuildError; what
    was pushed by then stays, and is not built again.
    """
    root = manifest.file.parent
    wanted = tuple(target.name for target in shared_by(plan, services))
    there = Registered(root, wanted, names.registry, console, options.platform)
    pushed: dict[str, str] = {}

    def choose(plan: Plan, around: Surroundings) -> tuple[str, ...]:
        refuse_standins(around, names.registry)
        there.know(plan, around)
        rest = there.left(provenance=False) if names.missing else wanted
        pushed.update({image.target: f"{image.repository}@{image.digest}" for image in there.held})
        return rest

    with prepared(
        manifest,
        wanted,
        console,
        frozen=names.frozen,
        install=names.install,
        packages=names.packages,
        pushed=pushed,
        platform=options.platform,
        choose=choose,
    ) as ready:
        retag(there.held, there.names(names.tag), ready.around.ca_bundle)
        options = replace(options, load=ready.engine.builder != "docker")
        for some, goes_on in _parts(plan, ready.services):
            result = bake.bake(
                ready.plan,
                some,
                root,
                ready.around,
                replace(options, keep_going=goes_on),
                smokes=False,
            )
            for error in result.failures:
                console.say(str(error))
            references = bake.tag(ready.plan, result.built, names.registry, names.tag)
            bake.push(references)
            pushed |= _marked(references, there.unedited(), ready.around.ca_bundle)
        return {name: pushed[name] for name in wanted if name in pushed}


def _parts(plan: Plan, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """What nothing is built without, and then the rest, of which some may fail."""
    below = tuple(name for name in names if plan.target(name).kind in ("runtime", "base"))
    rest = tuple(name for name in names if name not in below)
    yield from ((some, some is rest) for some in (below, rest) if some)


def _marked(
    references: Mapping[str, str], fingerprints: Mapping[str, str], ca_bundle: str
) -> dict[str, str]:
    """What was pushed, by the digest that the registry has it under; there it says what it was
    built from.
    """
    found = {}
    for name, reference in references.items():
        at, _, tag = reference.rpartition(":")
        repository = ImageRepository(at, ca_bundle)
        with contextlib.closing(repository):
            image = repository.document(tag)
            if image is None:
                raise BuildError(f"{reference} was pushed, and the registry does not have it")
            if fingerprint := fingerprints.get(name):
                mark(repository, image, fingerprint, {})
            found[name] = f"{at}@{image.descriptor.digest}"
    return found
