"""One bake: builds a plan's targets and runs their checks, without moving a tag."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from slimbake import docker
from slimbake.checks.smokes import note_smokes
from slimbake.console import Console
from slimbake.errors import SetupError, SlimbakeError
from slimbake.host.files import content
from slimbake.plan.graph import relinked
from slimbake.plan.model import Plan, Target
from slimbake.release.command import BakeOptions, arguments, environment
from slimbake.release.events import Progress, Steps, Vertex, VertexChange, failure, transient
from slimbake.release.show import Board, Plain, show
from slimbake.release.site import Site

WARNING = "slimbake: warning: "  # how lines of our programs begin that a person should read

# Seconds before the next tries of a build that the engine itself gave up; all that was built is
# cached. The machine is busy then, often with this very build.
RETRIES = (2.0, 15.0, 60.0)


@dataclass(frozen=True, slots=True)
class BakeResult:
    """What a bake leaves behind: images that were checked, under no name that anyone uses."""

    # target -> the ids that an engine may call its image by; of one that was pushed, its digest
    digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # target -> why it was left out, with `keep_going`; what fails of a base is one error for many
    failures: Mapping[str, SlimbakeError] = field(default_factory=dict)
    ran: frozenset[str] = frozenset()  # the targets of which a step ran: the rest is from cache
    left: tuple[str, ...] = ()  # of the targets that were asked for, those that did not fail


@dataclass(frozen=True, slots=True)
class _Run:
    """One `docker buildx bake` that ended."""

    digests: Mapping[str, tuple[str, ...]]  # by target
    broken: Vertex | None  # the step that broke it
    text: str  # buildx's own words
    ran: frozenset[str]


def bake(
    site: Site,
    targets: tuple[str, ...],
    options: BakeOptions,
    *,
    checks: bool = True,
) -> BakeResult:
    """Build these targets, and run the checks of those that are services.

    `checks`: false builds the images alone. With `options.keep_going`, what fails is left out, and
    what needs it. Raises SetupError for secrets that are missing, BuildError where a target does
    not build, CheckError where a check does not hold.
    """
    # What is pushed was checked before that, so its checks do not run again.
    plan = relinked(site.plan, site.around.pushed)
    if missing := missing_secrets(plan, targets, site.root):
        listing = "\n".join(f"  {secret}" for secret in missing)
        raise SetupError(f"the build wants secrets that are not there\n{listing}")
    steps = Steps(plan, _dockerfiles(plan, site.root))
    failures: dict[str, SlimbakeError] = {}
    ran: frozenset[str] = frozenset()
    while targets:
        names = plan.with_checks(targets) if checks else targets
        build = partial(_build, site, plan, steps=steps, options=options)
        run = _patiently(build, names, site.console)
        ran |= run.ran
        if run.broken is None:
            return BakeResult(run.digests, failures, ran, targets)
        error, culprit = failure(plan, run.broken, run.text)
        if not options.keep_going or not culprit:
            raise error
        for name in targets:
            needed = plan.needed(plan.with_checks((name,)))
            if any(target.name == culprit for target in needed):
                failures[name] = error
        targets = tuple(name for name in targets if name not in failures)
    return BakeResult(failures=failures)


def _patiently(
    build: Callable[[tuple[str, ...]], _Run], names: tuple[str, ...], console: Console
) -> _Run:
    """Build these targets, and again where the builder itself gave up: in the end one by one, which
    asks less of the machine at once, then all of them from what that left in the cache.
    """
    run = build(names)
    ran = run.ran
    for pause in RETRIES:
        if run.broken is None or not transient(run.broken, run.text):
            break
        lines = (run.broken.error or run.text).strip().splitlines() or ["no reason"]
        console.say(
            f"the builder gave up, as one that is busy; again in {pause:.0f} s: {lines[-1]}"
        )
        time.sleep(pause)
        if pause == RETRIES[-1]:
            for name in names:
                ran |= build((name,)).ran
        run = build(names)
        ran |= run.ran
    return replace(run, ran=ran)


def _build(
    site: Site, plan: Plan, names: tuple[str, ...], *, steps: Steps, options: BakeOptions
) -> _Run:
    """Run `docker buildx bake` for these targets, and show it."""
    site.built.set()
    progress = Progress(steps, only=names[0] if len(names) == 1 else "")
    targets = plan.needed(names)
    exported = set()
    for target in targets:
        if target.name in names and (target.repository or target.kind == "parity"):
            exported.add(target.name)
    with tempfile.TemporaryDirectory(prefix="slimbake-bake-") as scratch:
        metadata = Path(scratch) / "metadata.json"
        bake_arguments = (
            "--metadata-file",
            str(metadata),
            *arguments(plan, names, site.around, options),
        )
        variables = environment(site.around, options)
        running = docker.Bake(bake_arguments, site.root, variables)
        with show(Board(targets, exported, progress), site.console) as shown:
            warnings = _follow(plan, running, progress, shown)
            if not running.code:
                shown.complete()
        _note_smokes(site, targets, progress)
        for warning in warnings:
            site.console.say(warning)
        if running.code:
            broken = progress.failed or Vertex(steps.step("bake"), "failed", error=running.text)
            return _Run({}, broken, running.text, progress.ran)
        entries = json.loads(metadata.read_text("utf-8"))
    return _Run(_digests(entries), None, running.text, progress.ran)


def _note_smokes(site: Site, targets: Sequence[Target], progress: Progress) -> None:
    lines = []
    for vertex in progress.vertices.values():
        lines += [(vertex.step.target, line) for line in vertex.log]
    ran = [target for target in targets if target.name in progress.ran]
    note_smokes(site.workspace, site.root, ran, lines)


def _digests(entries: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """The ids of each image, by its target, as buildx's metadata has them.

    With the containerd store, an engine calls an image by its manifest; without, by its
    configuration.
    """
    digests = {}
    for name, entry in entries.items():
        manifest = entry.get("containerimage.digest")
        config = entry.get("containerimage.config.digest")
        digests[name] = tuple(filter(None, (manifest, config)))
    return digests


def _follow(
    plan: Plan, running: docker.Bake, progress: Progress, shown: Board | Plain
) -> list[str]:
    """Show a bake until it ends; what its programs warn of, each once."""
    warnings: dict[str, None] = {}
    for event in running.events():
        for change in progress.take(event):
            shown.take(change)
            if change.line.startswith(WARNING):
                warnings[_warning(plan, change)] = None
    return list(warnings)


def _warning(plan: Plan, change: VertexChange) -> str:
    warning = change.line.removeprefix(WARNING)
    name = change.vertex.step.target
    # Neither a smoke nor what compiles modules knows of which service it is.
    if name and plan.target(name).kind in ("smoke", "service"):
        warning = f"services.{plan.target(name).service}: {warning}"
    return f"warning: {warning}"


def _dockerfiles(plan: Plan, root: Path) -> dict[str, str]:
    texts = {}
    for path in {target.dockerfile for target in plan.targets}:
        if (root / path).is_file():
            texts[path] = content(root, path).decode("utf-8", "replace")
    return texts


def missing_secrets(plan: Plan, names: tuple[str, ...], root: Path) -> list[str]:
    """The secrets of these targets that are not there, each in words.

    buildx takes a variable that is not set for an empty secret, and a step may well build with
    that.
    """
    missing = []
    for target in plan.needed(names):
        for secret in target.secrets:
            if secret.source == "env" and secret.name not in os.environ:
                missing.append(
                    f"{secret.id} of {target.name}: the variable {secret.name} is not set"
                )
            elif secret.source == "file" and not (root / secret.name).is_file():
                missing.append(f"{secret.id} of {target.name}: there is no file {secret.name}")
    return missing
