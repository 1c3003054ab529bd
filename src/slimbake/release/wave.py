"""What a pipeline does before and after the jobs that build services: what they share is built once
and pushed, and images that are unchanged, or of several lanes, get the tag of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from slimbake import docker
from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host.machine import machine
from slimbake.plan.model import Plan
from slimbake.project import Project
from slimbake.release.inputs import registry_fingerprints
from slimbake.release.on_registry import OnRegistry, released_images
from slimbake.release.place import BakeRequest, reference
from slimbake.release.release import Released, offered, release
from slimbake.release.site import seen


def release_shared(project: Project, request: BakeRequest, console: Console) -> Released:
    """Release what services share, each after its own.

    An exported model or a reference that fails is reported and left out: whoever needs it fails by
    itself, and no other. Raises as `release` does, and BuildError where a base fails; what was
    pushed by then stays, and is not built again.
    """
    released = release(project, request, console)
    if {project.plan.target(name).kind for name in released.failures} & {"runtime", "base"}:
        released.expect_all()
    for error in dict.fromkeys(released.failures.values()):
        console.say(str(error))
    return replace(released, failures={})


def unchanged_images(
    project: Project, targets: tuple[str, ...], registry: str, console: Console
) -> tuple[str, ...]:
    """Those of the images that a registry has as this machine would build them; doubts are said.

    None without a registry, or with several lanes: fingerprints are of one, and each job asks for its
    own. Raises SetupError.
    """
    if not project.manifest.registry or len(project.plan.pipeline.lanes) > 1:
        return ()
    site = seen(project, console)
    images = offered(site, targets, registry, registry_fingerprints(site))
    return tuple(image.target for image in images)


def tagged(project: Project, registry: str, tag: str, console: Console) -> tuple[OnRegistry, ...]:
    """The images that have a run's tag by now; what has none is said: its job failed.

    Raises as `release` does, CheckError where a `scan:` does not let an unchanged image pass.
    """
    plan = project.plan
    targets = plan.with_weights(plan.service_names)
    names = {name: reference(plan.target(name), registry, tag) for name in targets}
    if len(plan.pipeline.lanes) > 1:
        _merge(plan, registry, tag, names, console)
    else:
        _tag_unchanged(project, targets, registry, tag, console)
    images = released_images(names, str(machine().ca_bundle or ""), required=False)
    missing = sorted(names.keys() - {image.target for image in images})
    if missing:
        console.say(f"without the tag {tag}, see the logs of their jobs: {', '.join(missing)}")
    return images


def _tag_unchanged(
    project: Project, targets: tuple[str, ...], registry: str, tag: str, console: Console
) -> None:
    unchanged = unchanged_images(project, targets, registry, console)
    if unchanged:
        request = BakeRequest(
            targets=unchanged,
            registry=registry,
            tag=tag,
            push=True,
            missing=True,
            keep_going=True,
            frozen=True,
        )
        release(project, request, console).expect_all()


def _merge(plan: Plan, registry: str, tag: str, names: Mapping[str, str], console: Console) -> None:
    """Put what the lanes pushed of each image under one tag, where all of them did."""
    for name, image in names.items():
        parts = []
        for lane in plan.pipeline.lanes:
            if plan.in_lane(name, lane):
                parts.append(reference(plan.target(name), registry, f"{tag}-{lane.name}"))
        try:
            docker.merge_images(image, parts)
        except SetupError as error:
            console.say(f"{name}: {error.hint}")
