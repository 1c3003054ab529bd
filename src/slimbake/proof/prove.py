"""The prove stage: what each pass saves, and whether everything still works without what it
removes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from slimbake.build.bake import bake
from slimbake.build.command import BakeOptions
from slimbake.build.place import built_in_engine
from slimbake.build.site import regenerated, relocked
from slimbake.catalogue.model import Applied, Pass
from slimbake.config.report import did_you_mean
from slimbake.console import QUIET, Console
from slimbake.errors import BuildError, CheckError, NothingSelected, SlimbakeError, UsageError
from slimbake.evidence.model import Evidence, Question, stale_evidence
from slimbake.evidence.selection import LayerAnswer
from slimbake.host.git import GitRepository
from slimbake.host.machine import machine
from slimbake.images import this_platform
from slimbake.project import Project, planned_for, reread
from slimbake.proof import control, environment, images, sample
from slimbake.proof.company import all_but_each, saved_beside
from slimbake.proof.layers import (
    TRIALS,
    Choice,
    ProvenLayer,
    Work,
    carried_layer,
    expect_nothing_lost,
    prove_layer,
    renewed_layer,
    settled_layer,
    unless_it_holds,
    work_of,
    write_evidence,
)
from slimbake.proof.model import Caught, Compared
from slimbake.proof.subjects import Workbench, passes_sets, unpruned_layer, workbench
from slimbake.proof.subjects import subjects as subjects_of
from slimbake.proof.trial import Subject
from slimbake.proof.trials import Kept
from slimbake.render import pruned as pruned_texts

BARE, BUILT, VERIFIED = "images without passes", "images with passes", "verify"
PRUNED = "pruned"  # in the workspace: what steps that install read of one platform's evidence


def prove(
    project: Project,
    services: Sequence[str],
    console: Console,
    *,
    choice: Choice,
    every: bool = False,
    install: bool = False,
    platform: str = "",
) -> tuple[Evidence, ...]:
    """Try passes on every layer of packages that these services stand on, with the smokes of all
    that stand on it.

    Each pass alone, all that hold together, and, on the images as they are then built, all but
    each. `every`: nobody named the services, so layers that cannot be asked about are left out.
    `platform`: for which they are tried, "" for this machine's; evidence of others stays. What was
    found lies in `bake/evidence/`, once images that are built with it hold; where one layer
    fails, that of the layers before it does too. Raises UsageError for a name that is no
    pass, NothingSelected where no layer is left, CheckError where images that are built with what
    held in every trial do not hold, and as `workbench` does.
    """
    root = project.root
    passes = _catalogue(project, choice.names)
    project = relocked(project, machine(), console)
    here = platform or this_platform()
    answers = layers_of(project, services, console, every=every, platform=here)
    wanted = [answer.question for answer in answers]
    works = [work_of(answer, passes, choice) for answer in answers]
    expect_nothing_lost(works)
    asked = {work.question.layer for work in works if work.new}
    if not asked:
        if choice.names and not choice.stale and not choice.untried:
            raise NothingSelected(
                f"{', '.join(choice.names)}: no layer of these services has what it is for",
                "`slimbake passes` lists the passes of each layer",
            )
        console.say("nothing to try: what is asked for is fresh, or no layer has it")
        return _settled(works, root)
    needed = tuple(
        dict.fromkeys(name for work in works if work.new for name in work.question.checks)
    )
    if renewed := _renewed(project, works, passes, needed, console, install=install, platform=here):
        return renewed
    steps = (BARE, *(q.layer for q in wanted if q.layer in asked), BUILT, VERIFIED)
    opened = workbench(project, needed, console, install=install, platform=here)
    with (
        console.tracked("prove", steps) as progress,
        progress.entered(BARE, opened) as bench,
    ):
        plan = bench.site.plan
        subjects = {subject.service: subject for subject in bench.subjects}
        bare = {name: subject.image for name, subject in subjects.items()}
        layers: list[ProvenLayer] = []
        failed: SlimbakeError | None = None
        for work in works:
            name, below = work.question.layer, _below(work.question, layers, passes)
            try:
                if not work.new:
                    layers.append(settled_layer(work))
                    continue
                unpruned = unpruned_layer(plan, _first(work.question, subjects), name)
                with progress.step(name):
                    layers.append(
                        prove_layer(
                            work,
                            subjects,
                            project.workspace,
                            console,
                            unpruned=unpruned,
                            below=below,
                        )
                    )
            except SlimbakeError as error:
                if not layers:
                    raise
                failed = error
                break
        with _put_back_unless_it_holds(project, wanted):
            for layer in layers:
                write_evidence(layer.question, layer.evidence, root)
            with progress.step(BUILT):
                ids = _pruned(project, needed, bench, console, here)
            with progress.step(VERIFIED):
                images.verified(plan, bare, ids, root, console, _emulated(here))
        pruned = {name: replace(subjects[name], image=image) for name, image in ids.items()}
        kept = Kept(project.workspace, TRIALS)
        for number, layer in enumerate(layers):
            if layer.question.layer not in asked:
                continue
            standing = [pruned[name] for name in layer.question.checks]
            first = _first(layer.question, subjects)
            more = all_but_each(layer, _applied(layer, passes), first, standing, kept, console)
            layers[number] = layer.with_findings(more)
            write_evidence(layers[number].question, layers[number].evidence, root)
    if failed:
        console.say(f"kept: {', '.join(layer.question.layer for layer in layers)}")
        raise failed
    return tuple(layer.evidence for layer in layers)


def _renewed(
    project: Project,
    works: Sequence[Work],
    passes: Sequence[Pass],
    needed: tuple[str, ...],
    console: Console,
    *,
    install: bool,
    platform: str,
) -> tuple[Evidence, ...] | None:
    """The evidence of layers on which all that is tried is only renewed: it holds if images that are
    built with it hold, so no trial is needed. Of a layer with other packages than before, one image
    without passes is built, to weigh them. None where something else is tried, or it does not hold.
    """
    if not all(work.new <= work.proven_before.keys() for work in works):
        return None
    plan = project.plan
    lightest = {
        work.question.layer: min(work.question.checks, key=lambda name: len(plan.held((name,))))
        for work in works
        if work.new and not work.weighed_before
    }
    bare = tuple(dict.fromkeys(lightest.values()))
    opened = workbench(project, needed, console, install=install, platform=platform, bare=bare)
    with (
        console.tracked("prove", (BARE, BUILT, VERIFIED)) as progress,
        progress.entered(BARE, opened) as bench,
    ):
        subjects = {subject.service: subject for subject in bench.subjects}
        layers: list[ProvenLayer] = []
        for work in works:
            name = work.question.layer
            if not work.new:
                layers.append(settled_layer(work))
                continue
            if work.weighed_before:
                console.say(f"{name}: its packages are the same, and so is what passes save")
                layers.append(carried_layer(work))
                continue
            subject = subjects[lightest[name]]
            layer = renewed_layer(work, subject, unpruned_layer(bench.site.plan, subject, name))
            if layer is None:
                console.say(f"{name}: a pass saves nothing any more: each is tried by itself")
                return None
            console.say(f"{name}: with all {len(work.wanted)} passes that were proven before")
            saved = saved_beside(layer, _applied(layer, passes))
            found = layer.evidence.passes
            layers.append(
                layer.with_findings({n: replace(found[n], marginal=m) for n, m in saved.items()})
            )
        try:
            with _put_back_unless_it_holds(project, [work.question for work in works]):
                for layer in layers:
                    write_evidence(layer.question, layer.evidence, project.root)
                with progress.step(BUILT):
                    ids = _pruned(project, needed, bench, console, platform)
                with progress.step(VERIFIED):
                    plan = bench.site.plan
                    images.verified(plan, {}, ids, project.root, console, _emulated(platform))
        except (BuildError, CheckError) as error:
            console.say(f"{error.message}\nso each of the passes is tried by itself")
            return None
    return tuple(layer.evidence for layer in layers)


def _emulated(platform: str) -> str:
    return platform if platform != this_platform() else ""


def _settled(works: Sequence[Work], root: Path) -> tuple[Evidence, ...]:
    """The evidence of layers on which nothing is tried, less that of passes that are gone."""
    settled = [(work.question, found) for work in works if (found := work.settled)]
    for question, found in settled:
        write_evidence(question, found, root)
    return tuple(found for _, found in settled)


def _first(question: Question, subjects: Mapping[str, Subject]) -> Subject:
    return subjects[next(iter(question.checks))]


@contextlib.contextmanager
def _put_back_unless_it_holds(project: Project, wanted: Sequence[Question]) -> Iterator[None]:
    """Evidence that images are built with stays if the block comes to its end; else it is put back.

    And so are the files that were generated of it, which plain `docker buildx bake` reads.
    """
    try:
        with unless_it_holds(wanted, project.root):
            yield
    except BaseException:
        with contextlib.suppress(SlimbakeError):
            regenerated(reread(project), QUIET)
        raise


def _applied(layer: ProvenLayer, passes: Sequence[Pass]) -> dict[str, Applied]:
    """What the proven passes of a layer do to its packages."""
    return {
        e.name: a
        for e in passes
        if e.name in layer.proven and (a := e.applied(layer.question.pins))
    }


def _below(
    question: Question, layers: Sequence[ProvenLayer], passes: Sequence[Pass]
) -> tuple[Applied, ...]:
    """What is proven, and not stale, on the layers that all services of a layer stand on as well."""
    return tuple(
        applied
        for layer in layers
        if question.checks.keys() <= layer.question.checks.keys()
        for each in passes
        if each.name in layer.proven and not stale_evidence(layer.question, layer.evidence, each)
        if (applied := each.applied(layer.question.pins))
    )


def check(
    project: Project,
    services: Sequence[str],
    console: Console,
    count: int,
    seed: int,
    *,
    every: bool = False,
    since: str = "",
    platform: str = "",
) -> tuple[Compared, ...]:
    """Measure again what the committed evidence says of some passes. `platform`: as in `prove`.

    `since`: a commit; all that the evidence says now and did not say where HEAD and it parted is
    found out, too. Raises NothingSelected, as `GitRepository.fork` and as `workbench`.
    """
    here = platform or this_platform()
    wanted = layers_of(project, services, console, every=every, platform=here)
    new: Mapping[str, Collection[str]] = {}
    if since:
        git = GitRepository(project.root)
        fork = git.fork(since, "HEAD")
        new = sample.new_findings(wanted, lambda path: git.text(fork, path))
    drawn = sample.draw(wanted, project.evidence.catalogue, count, seed, new)
    if not drawn:
        raise NothingSelected(
            "there is no fresh evidence to try again", "`slimbake prove --stale` makes it"
        )
    needed = tuple(dict.fromkeys(name for one in drawn for name in one.question.checks))
    with subjects_of(project, needed, console, platform=here) as subjects:
        return sample.compared(drawn, {subject.service: subject for subject in subjects}, console)


def controls(project: Project, services: Sequence[str], console: Console) -> tuple[Caught, ...]:
    """Break the images of these services, each in several ways, and see whether their smokes
    notice.
    """
    with workbench(project, services, console) as bench:
        return control.run_controls(bench.site.plan, bench.subjects, console)


def measure_images(project: Project, services: Sequence[str], console: Console) -> None:
    """Measure the images of these services without passes and with all that are proven: bytes,
    start-up and memory; into `bake/evidence/images.json`.

    Raises NothingSelected where there is no service, CheckError where a verify does not hold, and
    as `workbench` does.
    """
    _expect_smokes(services)
    with workbench(project, services, console) as bench:
        bare = {subject.service: subject.image for subject in bench.subjects}
        ids = _pruned(project, tuple(services), bench, console)
        images.verified(bench.site.plan, bare, ids, project.root, console)
        found = images.measured_images(bench.site.plan, bare, ids, project.workspace, console)
    images.write_images(found, project.root)


def measure_environment(
    project: Project,
    services: Sequence[str],
    console: Console,
    *,
    names: Collection[str] = (),
    only_stale: bool = False,
) -> None:
    """Measure variables of the running image on the images of these services; into
    `bake/evidence/images.json`.

    `names` and `only_stale` as in `prove`. Raises UsageError for a name that is no such pass,
    NothingSelected where there is no service, and as `workbench` does.
    """
    root = project.root
    passes = [each for each in _catalogue(project, names) if not names or each.name in names]
    if others := [each.name for each in passes if names and not each.env]:
        raise UsageError(
            f"no variables: {', '.join(others)}",
            "`slimbake passes` lists those that set some: environment.*",
        )
    _expect_smokes(services)
    with workbench(project, services, console) as bench:
        ids = _pruned(project, tuple(services), bench, console)
        built = tuple(replace(each, image=ids[each.service]) for each in bench.subjects)
        environment.environments(
            bench.site.plan, passes, built, root, console, only_stale=only_stale
        )


def _expect_smokes(services: Sequence[str]) -> None:
    if not services:
        raise NothingSelected(
            "no service has a smoke", "what nothing checks cannot be measured: give it a `smoke:`"
        )


def _catalogue(project: Project, names: Collection[str]) -> tuple[Pass, ...]:
    passes = project.evidence.catalogue
    known = {each.name for each in passes}
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no pass '{name}'",
                did_you_mean(name, known) or "`slimbake passes` lists them",
            )
    return passes


def layers_of(
    project: Project,
    services: Sequence[str],
    console: Console,
    *,
    every: bool = False,
    platform: str = "",
) -> tuple[LayerAnswer, ...]:
    """What evidence has to answer for each layer of packages that these services stand on, on one
    platform: "" for this machine's.

    Layers that cannot be asked about, since something without a smoke stands on them or they are
    not built for it, are left out in a line where `every` service is meant. Raises UsageError for
    one where services are named, and NothingSelected where none is left.
    """
    platform = platform or this_platform()
    chosen = []
    for answers in project.evidence.layers:
        on = [
            each
            for each in answers
            if {*services} & {*each.question.checks, *each.question.unchecked}
        ]
        if answers[0].none or not on:
            continue
        layer, here = answers[0].question.layer, _of(platform, on)
        why, hint = _unasked(on, here, platform)
        if here and not why:
            chosen.append(here)
        elif every:
            console.say(f"{layer}: left out: {why}")
        else:
            raise UsageError(f"{layer}: {why}", hint)
    if not chosen:
        raise NothingSelected(f"{', '.join(services)}: no layer of packages to prove anything on")
    return tuple(chosen)


def _of(platform: str, answers: Sequence[LayerAnswer]) -> LayerAnswer | None:
    return next((each for each in answers if each.question.platform == platform), None)


def _unasked(
    answers: Sequence[LayerAnswer], here: LayerAnswer | None, platform: str
) -> tuple[str, str]:
    """Why nothing can be proven on a layer here, and the way out; "" where it can."""
    if here is None:
        built = [each.question.platform for each in answers]
        return (
            f"it is built for {' and '.join(built)}, not for {platform}",
            f"on a machine of that platform: `slimbake prove --platform {built[0]}`",
        )
    if unchecked := here.question.unchecked:
        return (
            f"no smoke: {', '.join(unchecked)}",
            "what nothing checks cannot be proven: give it a `smoke:`",
        )
    return "", ""


def _pruned(
    project: Project,
    services: tuple[str, ...],
    bench: Workbench,
    console: Console,
    platform: str = "",
) -> dict[str, str]:
    """Build the services for a platform as its evidence says now, whether or not others have any,
    with their smokes; the engine's id of each. Raises CheckError where one does not hold.
    """
    project = regenerated(reread(project), console)
    site = replace(bench.site, project=project)
    sets = passes_sets(site, PRUNED, pruned_texts(planned_for(project, platform)))
    try:
        result = bake(site, services, BakeOptions(sets=sets, platform=platform))
    except CheckError as error:
        words = f"what passed in every trial fails in the images that are built\n{error.message}"
        hint = (
            "leave a pass out that has to do with it: `optimize: {without: [NAME]}`, and prove"
            " again"
        )
        raise CheckError(words, hint) from None
    return {image.name: image.image for image in built_in_engine(result.left, result)}
