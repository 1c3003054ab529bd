"""The prove stage: what each pass saves, and whether everything still works without what it removes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from slimbake import bake
from slimbake.bake.command import Options
from slimbake.catalogue.model import Pass
from slimbake.catalogue.read import catalogue
from slimbake.errors import CheckError, NothingSelected, UsageError
from slimbake.evidence import questions
from slimbake.evidence.model import Evidence, Question
from slimbake.lock import lock_texts, settled
from slimbake.machine import machine
from slimbake.manifest.model import Manifest
from slimbake.manifest.report import near
from slimbake.prepare import lock_new, refreshed
from slimbake.prove import control, images, sample
from slimbake.prove.company import all_but_each
from slimbake.prove.kept import Kept
from slimbake.prove.layers import KEPT, prove_layer, write
from slimbake.prove.model import Caught, Compared
from slimbake.prove.subjects import Workbench, unpruned_layer, workbench
from slimbake.prove.subjects import subjects as subjects_of
from slimbake.prove.trial import Subject

Say = Callable[[str], None]


def prove(
    manifest: Manifest,
    services: Sequence[str],
    say: Say,
    *,
    names: Collection[str] = (),
    only_stale: bool = False,
    install: bool = False,
) -> tuple[Evidence, ...]:
    """Try passes on every layer of packages that these services stand on, with the smokes of all that stand on it.

    Each pass alone, all that hold together, and, on the images as they are then built, all but each. `names`: these
    passes only; `only_stale`: those without fresh evidence. What was found lies in `evidence/`. Raises UsageError for
    a name that is no pass, NothingSelected where no layer is left, CheckError where images that are built with what
    held in every trial do not hold, and as `workbench` does.
    """
    root = manifest.file.parent
    passes = _catalogue(manifest, names)
    lock_new(manifest, machine(), say)
    wanted = layers_of(manifest, services)
    needed = tuple(dict.fromkeys(name for question in wanted for name in question.checks))
    with workbench(manifest, needed, say, install=install) as bench:
        subjects = {subject.service: subject for subject in bench.subjects}
        layers = []
        for question in wanted:
            first = subjects[next(iter(question.checks))]
            unpruned = unpruned_layer(bench.ready.plan, first, question.layer)
            layers.append(
                prove_layer(
                    question, passes, subjects, root, say, unpruned=unpruned, names=names, only_stale=only_stale
                )
            )
            write(layers[-1:], root)
        try:
            pruned = _pruned(manifest, needed, bench, say)
            ids = {name: subject.image for name, subject in pruned.items()}
            if any(layer.new for layer in layers):
                images.verified(bench.ready.plan, ids, root, say)
        except CheckError:
            write([layer.taken_back() for layer in layers], root)
            raise
        kept = Kept(root / KEPT)
        for number, layer in enumerate(layers):
            applied = {e.name: a for e in passes if e.name in layer.proven and (a := e.applied(layer.question.pins))}
            standing = [pruned[name] for name in layer.question.checks]
            bare = subjects[next(iter(layer.question.checks))]
            more = all_but_each(layer, applied, bare, standing, kept, say)
            layers[number] = layer.with_findings(more)
            write([layers[number]], root)
        if any(layer.new for layer in layers):
            bare_ids = {name: subject.image for name, subject in subjects.items()}
            images.write(images.measured(bench.ready.plan, bare_ids, ids, root, say), root)
    return tuple(layer.evidence for layer in layers)


def check(manifest: Manifest, services: Sequence[str], say: Say, count: int, seed: int) -> tuple[Compared, ...]:
    """Find out anew what the committed evidence says of some passes. Raises NothingSelected, and as `workbench`."""
    wanted = layers_of(manifest, services)
    drawn = sample.draw(wanted, catalogue(manifest.file.parent), manifest.file.parent, count, seed)
    if not drawn:
        raise NothingSelected("there is no fresh evidence to try again", "`slimbake prove --stale` makes it")
    needed = tuple(dict.fromkeys(name for one in drawn for name in one.question.checks))
    with subjects_of(manifest, needed, say) as subjects:
        return sample.compared(drawn, {subject.service: subject for subject in subjects}, say)


def controls(manifest: Manifest, services: Sequence[str], say: Say) -> tuple[Caught, ...]:
    """Break the images of these services, each in several ways, and see whether their smokes notice."""
    with workbench(manifest, services, say) as bench:
        return control.controls(bench.ready.plan, bench.subjects, say)


def measure_environment(manifest: Manifest, services: Sequence[str], say: Say) -> None:
    """Measure settings of the run-time environment on the images of these services; into `evidence/images.json`."""
    root = manifest.file.parent
    passes = catalogue(root)
    with workbench(manifest, services, say) as bench:
        built = _pruned(manifest, tuple(services), bench, say)
        found = images.environments(bench.ready.plan, passes, tuple(built.values()), root, say)
    images.write({"environment": found}, root)


def _catalogue(manifest: Manifest, names: Collection[str]) -> tuple[Pass, ...]:
    passes = catalogue(manifest.file.parent)
    known = {each.name for each in passes}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no pass '{name}'", near(name, known) or "`slimbake passes` lists them")
    return passes


def layers_of(manifest: Manifest, services: Sequence[str]) -> tuple[Question, ...]:
    """What evidence has to answer for each layer of packages that these services stand on.

    Raises UsageError where something without a smoke stands on one, and NothingSelected where there is none.
    """
    found = questions(settled(manifest), lock_texts(manifest))
    chosen = [q for q, optimize in found if not optimize.none and {*services} & {*q.checks, *q.unchecked}]
    if bare := sorted({name for question in chosen for name in question.unchecked}):
        raise UsageError(f"no smoke: {', '.join(bare)}", "what nothing checks cannot be proven: give it a `smoke:`")
    if not chosen:
        raise NothingSelected(f"{', '.join(services)}: no layer of packages to prove anything on")
    return tuple(chosen)


def _pruned(manifest: Manifest, services: tuple[str, ...], bench: Workbench, say: Say) -> dict[str, Subject]:
    """Build the services as their evidence says now, with their smokes. Raises CheckError where one does not hold."""
    plan = refreshed(manifest, say)
    around = replace(bench.ready.around, externals={**bench.ready.around.externals, "tools": bench.tools})
    try:
        built = bake.bake(plan, services, manifest.file.parent, around, Options()).built
    except CheckError as error:
        words = f"what held in every trial does not hold in the images that are built\n{error.message}"
        raise CheckError(words, "this is a bug of slimbake: please report it") from None
    bare = {subject.service: subject for subject in bench.subjects}
    return {image.name: replace(bare[image.name], image=image.digest) for image in built}
