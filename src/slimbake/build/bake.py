"""The bake stage: builds a plan's targets, runs their smokes, and only then moves tags and pushes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from slimbake import docker
from slimbake.build.command import Options, Surroundings, arguments, environment
from slimbake.build.costs import measured
from slimbake.build.events import Progress, Vertex
from slimbake.build.failure import failure, lost, transient
from slimbake.build.secrets import missing_secrets
from slimbake.build.show import Show, show
from slimbake.build.steps import Steps
from slimbake.errors import BuildError, SetupError, SlimbakeError
from slimbake.plan.model import Plan, Target
from slimbake.plan.relinked import relinked

RETRIES = 2  # of a build that the engine itself gave up; all that was built is cached


@dataclass(frozen=True, slots=True)
class Built:
    """An image that was just built and whose smoke holds."""

    name: str
    digest: str  # the id by which the engine holds it
    names: tuple[str, ...] = ()  # that it has already


@dataclass(frozen=True, slots=True)
class Result:
    """What a bake leaves behind."""

    built: tuple[Built, ...]
    failures: tuple[SlimbakeError, ...]  # of targets that were left out, with `keep_going`
    # of each target that was built from its first step on
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a bake that pushes leaves in a registry, checked, but under no name that anyone uses."""

    digests: Mapping[str, str]  # target -> of its manifest or index
    failures: tuple[SlimbakeError, ...]  # as in Result
    seconds: Mapping[str, float]  # as in Result


@dataclass(frozen=True, slots=True)
class _Run:
    """One `docker buildx bake` that ended."""

    digests: Mapping[str, tuple[str, ...]]  # by target
    broken: Vertex | None  # the step that broke it
    text: str  # buildx's own words
    seconds: Mapping[str, float]


class NodeLost(SetupError):
    """A build broke for no fault of any target: its node, or the way to it, is gone."""


def bake(
    plan: Plan,
    services: tuple[str, ...],
    root: Path,
    around: Surroundings,
    options: Options,
    smokes: bool = True,
) -> Result:
    """Build these services and run their smokes, without moving a tag. Nothing is in the way of
    running it again.

    Raises SetupError for secrets that are missing, BuildError where a target does not build and
    CheckError where a smoke does not hold; with `options.keep_going`, those two are left out with
    all that stands on them, and returned.
    """
    services, run, failures = _until_built(plan, services, root, around, options, smokes=smokes)
    return Result(_built(plan.project, services, run.digests), failures, run.seconds)


def run_checks(
    plan: Plan, targets: tuple[str, ...], root: Path, around: Surroundings, options: Options
) -> None:
    """Build targets that are no images. Raises as `bake` does."""
    _until_built(plan, targets, root, around, options, smokes=False)


def bake_and_push(
    plan: Plan,
    targets: tuple[str, ...],
    root: Path,
    around: Surroundings,
    options: Options,
    shown: Show,
) -> Pushed:
    """Build these targets on any builder, run the smokes of those that are services, and push them.

    They are pushed under the names that `options.names` gives, which nobody uses before the smokes
    hold. Raises as `bake` does, and NodeLost where no target is at fault.
    """
    targets, run, failures = _until_built(plan, targets, root, around, options, shown=shown)
    return Pushed(
        {name: run.digests[name][0] for name in targets if run.digests.get(name)},
        failures,
        run.seconds,
    )


def _until_built(
    plan: Plan,
    services: tuple[str, ...],
    root: Path,
    around: Surroundings,
    options: Options,
    smokes: bool = True,
    shown: Show | None = None,
) -> tuple[tuple[str, ...], _Run, tuple[SlimbakeError, ...]]:
    """Build, with `options.keep_going` less and less, until nothing fails: what was built, how, and
    what failed.

    `shown`: where the build is on another machine, which can be lost.
    """
    if missing := missing_secrets(plan, services, root):
        raise SetupError(
            "the build wants secrets that are not there\n"
            + "\n".join(f"  {each}" for each in missing)
        )
    steps = Steps(plan, _dockerfiles(plan, root))
    failures: list[SlimbakeError] = []
    while services:
        names = plan.with_checks(services) if smokes else services
        run = _patiently(plan, names, root, around, options, steps, shown)
        if run.broken is None:
            return services, run, tuple(failures)
        error, culprit = failure(plan, run.broken, run.text)
        if shown and (not culprit or lost(run.broken)):
            raise NodeLost(error.message, error.hint)
        if not options.keep_going or not culprit:
            raise error
        failures.append(error)
        services = tuple(
            s
            for s in services
            if culprit not in {t.name for t in plan.needed(plan.with_checks((s,)))}
        )
    return (), _Run({}, None, "", {}), tuple(failures)


def _patiently(
    plan: Plan,
    names: tuple[str, ...],
    root: Path,
    around: Surroundings,
    options: Options,
    steps: Steps,
    shown: Show | None = None,
) -> _Run:
    run = _build(plan, names, root, around, options, steps, shown)
    for _ in range(RETRIES):
        if run.broken is None or not transient(run.broken, run.text):
            break
        run = _build(plan, names, root, around, options, steps, shown)
    return run


def _build(
    plan: Plan,
    names: tuple[str, ...],
    root: Path,
    around: Surroundings,
    options: Options,
    steps: Steps,
    shown: Show | None = None,
) -> _Run:
    """One `docker buildx bake`; `shown`: takes its changes, where they are not a display of their
    own.
    """
    progress = Progress(steps, only=names[0] if len(names) == 1 else "")
    with tempfile.TemporaryDirectory(prefix="slimbake-bake-") as scratch:
        metadata = Path(scratch) / "metadata.json"
        words = ("--metadata-file", str(metadata), *arguments(plan, names, around, options))
        running = docker.Bake(words, root, environment(around, options))
        shown_ones = tuple(target.name for target in relinked(plan, around.pushed).needed(names))
        with nullcontext(shown) if shown else show(shown_ones) as show_change:
            for event in running.events():
                for change in progress.take(event):
                    show_change(change)
        if running.code:
            broken = progress.failed or Vertex(steps.step("bake"), "failed", error=running.text)
            return _Run({}, broken, running.text, {})
        found = json.loads(metadata.read_text("utf-8"))
    digests = {name: _identifiers(entry) for name, entry in found.items()}
    return _Run(digests, None, running.text, measured(progress.vertices.values()))


def _identifiers(entry: Mapping[str, str]) -> tuple[str, ...]:
    """How an engine may call an image: by its manifest with the containerd store, by its
    configuration without.
    """
    keys = ("containerimage.digest", "containerimage.config.digest")
    return tuple(entry[key] for key in keys if entry.get(key))


def _built(
    project: str, services: tuple[str, ...], identifiers: Mapping[str, tuple[str, ...]]
) -> tuple[Built, ...]:
    missing = [service for service in services if not identifiers.get(service)]
    if missing:
        raise BuildError(
            f"buildx names no image for {', '.join(missing)}",
            "look whether `--set` or a template of your own changes the target's output",
        )
    held = docker.project_images(project)
    built = tuple(
        Built(service, digest, held[digest])
        for service in services
        for digest in [digest for digest in identifiers[service] if digest in held][:1]
    )
    if lost := [service for service in services if service not in {image.name for image in built}]:
        raise SetupError(
            "the engine does not hold what was just built", f"looked for {', '.join(lost)}"
        )
    return built


def references(target: Target, registry: str, tag: str) -> str:
    """The name under which a target's image is tagged and pushed."""
    return f"{registry}/{target.repository}:{tag}{target.suffix}"


def tag(plan: Plan, built: tuple[Built, ...], registry: str, version: str) -> dict[str, str]:
    """Move the tags to exactly what was built and checked."""
    names = {image.name: references(plan.target(image.name), registry, version) for image in built}
    for image in built:
        if names[image.name] not in image.names:
            docker.tag_image(image.digest, names[image.name])
    return names


def push_with_provenance(
    plan: Plan,
    images: tuple[Built, ...],
    names: Mapping[str, str],
    root: Path,
    around: Surroundings,
    options: Options,
) -> None:
    """Push images that were checked, each in an index with BuildKit's provenance (SLSA, `mode=max`)
    beside it.

    BuildKit gives it at a build only: one more, from cache. The engine keeps the images without it
    under their names. Raises BuildError, also where that build made anything but what was checked;
    then nothing is pushed.
    """
    called = {image.name: f"slimbake/{plan.project}/{image.name}:provenance" for image in images}
    options = replace(options, provenance=True, names=called, layouts="", no_cache=False)
    # with their passwords they would stand in it, and what is cached needs none
    around = replace(around, proxies=())
    run = _build(plan, tuple(called), root, around, options, Steps(plan, _dockerfiles(plan, root)))
    if run.broken is not None:
        raise BuildError(f"buildx makes no provenance\n{run.text.strip() or run.broken.error}")
    try:
        for image in images:
            if not docker.same_image(image.digest, called[image.name]):
                raise BuildError(
                    f"{image.name}: with provenance, buildx built another image than the one that"
                    " was checked"
                )
        for image in images:
            docker.tag_image(called[image.name], names[image.name])
            try:
                push({image.name: names[image.name]})
            finally:
                docker.tag_image(image.digest, names[image.name])
    finally:
        for name in called.values():
            docker.remove_image(name)


def push(names: Mapping[str, str]) -> None:
    """Push what was tagged. Raises BuildError with the registry's words."""
    for name, reference in names.items():
        try:
            docker.push_image(reference)
        except SetupError as error:
            raise BuildError(
                f"{name} was built and checked, but {reference} could not be pushed\n{error.hint}",
                "once the registry answers, the same command goes on from here",
            ) from None


def _dockerfiles(plan: Plan, root: Path) -> dict[str, str]:
    paths = {target.dockerfile for target in plan.targets}
    return {
        path: (root / path).read_text("utf-8", errors="replace")
        for path in paths
        if (root / path).is_file()
    }
