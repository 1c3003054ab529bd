"""The prove stage: what each pass saves, and whether everything still works without what it removes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from slimbake.catalogue.model import Pass
from slimbake.catalogue.read import catalogue
from slimbake.errors import NothingSelected, UsageError
from slimbake.evidence import questions
from slimbake.evidence.model import Evidence, Question
from slimbake.lock import lock_texts, settled
from slimbake.manifest.model import Manifest
from slimbake.manifest.report import near
from slimbake.prove.layers import prove_layer
from slimbake.prove.subjects import unpruned_layer, workbench

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

    `names`: these passes only; `only_stale`: those without fresh evidence. What was found lies in `evidence/`.
    Raises UsageError for a name that is no pass, NothingSelected where no layer is left, and as `workbench` does.
    """
    root = manifest.file.parent
    passes = catalogue(root)
    for name in names:
        if name not in (known := {each.name for each in passes}):
            raise UsageError(f"there is no pass '{name}'", near(name, known) or "`slimbake passes` lists them")
    layers = [question for question in asked(manifest) if set(services) & {*question.checks, *question.unchecked}]
    if not layers:
        raise NothingSelected(f"{', '.join(services)}: no layer of packages to prove anything on")
    if bare := sorted({name for question in layers for name in question.unchecked}):
        raise UsageError(f"no smoke: {', '.join(bare)}", "what nothing checks cannot be proven: give it a `smoke:`")
    needed = tuple(dict.fromkeys(name for question in layers for name in question.checks))
    found = []
    with workbench(manifest, needed, say, install=install) as bench:
        subjects = {subject.service: subject for subject in bench.subjects}
        for question in layers:
            first = subjects[next(iter(question.checks))]
            unpruned = unpruned_layer(bench.ready.plan, first, question.layer)
            found.append(
                prove_layer(
                    question, passes, subjects, root, say, unpruned=unpruned, names=names, only_stale=only_stale
                )
            )
    return tuple(found)


def asked(manifest: Manifest) -> tuple[Question, ...]:
    """What evidence has to answer for each layer of packages, as the locks are; less those that carry no passes."""
    found = questions(settled(manifest), lock_texts(manifest))
    return tuple(question for question, wanted in found if not wanted.none)


def untried(passes: Sequence[Pass], evidence: Evidence) -> tuple[str, ...]:
    """The passes that the evidence of a layer says nothing of."""
    return tuple(each.name for each in passes if each.name not in evidence.passes)
