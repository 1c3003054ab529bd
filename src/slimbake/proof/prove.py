"""The prove stage: what each pass saves, and whether everything still works without what it
removes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from slimbake.build import bake
from slimbake.build.command import Options
from slimbake.build.prepare import lock_new, refreshed
from slimbake.catalogue.model import Applied, Pass
from slimbake.catalogue.read import catalogue
from slimbake.config.model import Manifest
from slimbake.config.report import did_you_mean
from slimbake.errors import CheckError, NothingSelected, SlimbakeError, UsageError
from slimbake.evidence import questions
from slimbake.evidence.model import Evidence, Question, stale
from slimbake.host.machine import machine
from slimbake.images import this_platform
from slimbake.lock import lock_texts, settled
from slimbake.proof import control, environment, images, sample
from slimbake.proof.company import all_but_each
from slimbake.proof.kept import Kept
from slimbake.proof.layers import (
    KEPT,
    Layer,
    expect_nothing_lost,
    prove_layer,
    unless_it_holds,
    work_of,
    write,
)
from slimbake.proof.model import Caught, Compared
from slimbake.proof.subjects import Workbench, unpruned_layer, workbench
from slimbake.proof.subjects import subjects as subjects_of
from slimbake.proof.trial import Subject

Say = Callable[[str], None]


def prove(
    manifest: Manifest,
    services: Sequence[str],
    say: Say,
    *,
    names: Collection[str] = (),
    only_stale: bool = False,
    every: bool = False,
    install: bool = False,
) -> tuple[Evidence, ...]:
    """Try passes on every layer of packages that these services stand on, with the smokes of all
    that stand on it.

    Each pass alone, all that hold together, and, on the images as they are then built, all but
    each. `names`: these passes only; `only_stale`: those without fresh evidence; `every`: nobody
    named the services, so layers that cannot be asked about are left out. What was found lies in
    `evidence/`, once images that are built with it hold. Raises UsageError for a name that is no
    pass, NothingSelected where no layer is left, CheckError where images that are built with what
    held in every trial do not hold, and as `workbench` does.
    """
    root = manifest.file.parent
    passes = _catalogue(manifest, names)
    lock_new(manifest, machine(), say)
    wanted = layers_of(manifest, services, say, every=every)
    works = [work_of(question, passes, root, names, only_stale=only_stale) for question in wanted]
    expect_nothing_lost(works)
    needed = tuple(dict.fromkeys(name for question in wanted for name in question.checks))
    with workbench(manifest, needed, say, install=install) as bench:
        plan = bench.ready.plan
        subjects = {subject.service: subject for subject in bench.subjects}
        bare = {name: subject.image for name, subject in subjects.items()}
        layers: list[Layer] = []
        for work in works:
            unpruned = unpruned_layer(plan, _first(work.question, subjects), work.question.layer)
            below = _below(work.question, layers, passes)
            layers.append(prove_layer(work, subjects, root, say, unpruned=unpruned, below=below))
        with _put_back_unless_it_holds(manifest, wanted):
            for layer in layers:
                write(layer, root)
            pruned = _pruned(manifest, needed, bench, say)
            ids = {name: subject.image for name, subject in pruned.items()}
            measured = images.fresh(bare, ids, root)
            if any(layer.new for layer in layers) or not measured:
                images.verified(plan, bare, ids, root, say)
        kept = Kept(root / KEPT)
        for number, layer in enumerate(layers):
            standing = [pruned[name] for name in layer.question.checks]
            first = _first(layer.question, subjects)
            more = all_but_each(layer, _applied(layer, passes), first, standing, kept, say)
            layers[number] = layer.with_findings(more)
            write(layers[number], root)
        if not measured:
            images.write(images.measured(plan, bare, ids, root, say), root)
    return tuple(layer.evidence for layer in layers)


def _first(question: Question, subjects: Mapping[str, Subject]) -> Subject:
    return subjects[next(iter(question.checks))]


@contextlib.contextmanager
def _put_back_unless_it_holds(manifest: Manifest, wanted: Sequence[Question]) -> Iterator[None]:
    """Evidence that images are built with stays if the block comes to its end; else it is put back.

    And so are the files that were generated of it, which plain `docker buildx bake` reads.
    """
    try:
        with unless_it_holds(wanted, manifest.file.parent):
            yield
    except BaseException:
        with contextlib.suppress(SlimbakeError):
            refreshed(manifest, lambda _: None)
        raise


def _applied(layer: Layer, passes: Sequence[Pass]) -> dict[str, Applied]:
    """What the proven passes of a layer do to its packages."""
    return {
        e.name: a
        for e in passes
        if e.name in layer.proven and (a := e.applied(layer.question.pins))
    }


def _below(
    question: Question, layers: Sequence[Layer], passes: Sequence[Pass]
) -> tuple[Applied, ...]:
    """What is proven, and not stale, on the layers that all services of a layer stand on as well."""
    return tuple(
        applied
        for layer in layers
        if question.checks.keys() <= layer.question.checks.keys()
        for each in passes
        if each.name in layer.proven and not stale(layer.question, layer.evidence, each)
        if (applied := each.applied(layer.question.pins))
    )


def check(
    manifest: Manifest,
    services: Sequence[str],
    say: Say,
    count: int,
    seed: int,
    *,
    every: bool = False,
) -> tuple[Compared, ...]:
    """Find out anew what the committed evidence says of some passes. Raises NothingSelected, and as
    `workbench`.
    """
    wanted = layers_of(manifest, services, say, every=every)
    drawn = sample.draw(wanted, catalogue(manifest.file.parent), manifest.file.parent, count, seed)
    if not drawn:
        raise NothingSelected(
            "there is no fresh evidence to try again", "`slimbake prove --stale` makes it"
        )
    needed = tuple(dict.fromkeys(name for one in drawn for name in one.question.checks))
    with subjects_of(manifest, needed, say) as subjects:
        return sample.compared(drawn, {subject.service: subject for subject in subjects}, say)


def controls(manifest: Manifest, services: Sequence[str], say: Say) -> tuple[Caught, ...]:
    """Break the images of these services, each in several ways, and see whether their smokes
    notice.
    """
    with workbench(manifest, services, say) as bench:
        return control.controls(bench.ready.plan, bench.subjects, say)


def measure_environment(
    manifest: Manifest,
    services: Sequence[str],
    say: Say,
    *,
    names: Collection[str] = (),
    only_stale: bool = False,
) -> None:
    """Measure variables of the running image on the images of these services; into
    `evidence/images.json`.

    `names` and `only_stale` as in `prove`. Raises UsageError for a name that is no such pass,
    NothingSelected where there is no service, and as `workbench` does.
    """
    root = manifest.file.parent
    passes = [each for each in _catalogue(manifest, names) if not names or each.name in names]
    if others := [each.name for each in passes if names and not each.env]:
        raise UsageError(
            f"no variables: {', '.join(others)}",
            "`slimbake passes` lists those that set some: environment.*",
        )
    if not services:
        raise NothingSelected(
            "no service has a smoke", "what nothing checks cannot be measured: give it a `smoke:`"
        )
    with workbench(manifest, services, say) as bench:
        built = tuple(_pruned(manifest, tuple(services), bench, say).values())
        environment.environments(bench.ready.plan, passes, built, root, say, only_stale=only_stale)


def _catalogue(manifest: Manifest, names: Collection[str]) -> tuple[Pass, ...]:
    passes = catalogue(manifest.file.parent)
    known = {each.name for each in passes}
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no pass '{name}'",
                did_you_mean(name, known) or "`slimbake passes` lists them",
            )
    return passes


def layers_of(
    manifest: Manifest, services: Sequence[str], say: Say, *, every: bool = False
) -> tuple[Question, ...]:
    """What evidence has to answer for each layer of packages that these services stand on.

    Layers that cannot be asked about, since something without a smoke stands on them or they are
    built for several platforms, are left out in a line where `every` service is meant. Raises
    UsageError for one where services are named, and NothingSelected where none is left.
    """
    found = questions(settled(manifest), lock_texts(manifest))
    meant = [
        q for q, optimize in found if not optimize.none and {*services} & {*q.checks, *q.unchecked}
    ]
    chosen = []
    for question in meant:
        why, hint = _unasked(question)
        if why and not every:
            raise UsageError(f"{question.layer}: {why}", hint)
        if why:
            say(f"{question.layer}: nothing is proven on it: {why}")
        else:
            chosen.append(question)
    if not chosen:
        raise NothingSelected(f"{', '.join(services)}: no layer of packages to prove anything on")
    return tuple(chosen)


def _unasked(question: Question) -> tuple[str, str]:
    """Why nothing can be proven on a layer, and the way out; "" where it can."""
    if question.unchecked:
        return (
            f"no smoke: {', '.join(question.unchecked)}",
            "what nothing checks cannot be proven: give it a `smoke:`",
        )
    if question.platforms != (this_platform(),):
        built = " and ".join(question.platforms)
        return (
            f"it is built for {built}, and passes are tried for {this_platform()} alone",
            "name that platform alone (`platforms:`), or leave passes out of it (`optimize: none`)",
        )
    return "", ""


def _pruned(
    manifest: Manifest, services: tuple[str, ...], bench: Workbench, say: Say
) -> dict[str, Subject]:
    """Build the services as their evidence says now, with their smokes. Raises CheckError where one
    does not hold.
    """
    plan = refreshed(manifest, say)
    around = replace(
        bench.ready.around, externals={**bench.ready.around.externals, "tools": bench.tools}
    )
    try:
        built = bake.bake(plan, services, manifest.file.parent, around, Options()).built
    except CheckError as error:
        words = (
            f"what held in every trial does not hold in the images that are built\n{error.message}"
        )
        hint = (
            "leave a pass out that has to do with it: `optimize: {without: [NAME]}`, and prove"
            " again"
        )
        raise CheckError(words, hint) from None
    bare = {subject.service: subject for subject in bench.subjects}
    return {image.name: replace(bare[image.name], image=image.digest) for image in built}
