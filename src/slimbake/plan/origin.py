"""Labels of the origin of an image: the external that it was made from, and its locks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from slimbake.fleet.model import External
from slimbake.lock.text import lock_digest
from slimbake.plan.graph import standing
from slimbake.plan.model import Plan, Target, holding

LOCK = "slimbake.lock"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"


def locks(plan: Plan, target: str) -> tuple[str, ...]:
    """Return the lock files of what lies in a target's image: of its bases, its weights, itself.

    The locks of what builds a package of the repository are not among them: that is not in the
    image.
    """
    return _locks(plan.held((target,)))


def _locks(targets: Iterable[Target]) -> tuple[str, ...]:
    lock_files: list[str] = []
    for target in targets:
        if target.recipe and target.kind not in ("wheel", "layer"):
            for lock_file in (target.recipe.system_lock, target.recipe.lock):
                if lock_file:
                    lock_files.append(lock_file)
    return tuple(lock_files)


def exports(plan: Plan, target: str) -> dict[str, str]:
    """Return the lock files of the weights that lie in an image exported, each with their name."""
    names = {}
    for held in plan.held((target,)):
        if held.recipe and held.recipe.export:
            names[held.recipe.lock] = held.recipe.export.model
    return names


def is_ours(target: Target) -> bool:
    """Whether slimbake writes the Dockerfile of a target that is an image of Python."""
    return bool(target.recipe) and target.kind in ("runtime", "base", "service")


def with_origin(
    targets: Sequence[Target], externals: Iterable[External], texts: Mapping[str, str]
) -> Iterator[Target]:
    """Yield the targets, with the labels of their origin on those that slimbake writes.

    `targets`: each after all that it needs. `externals`: their digests are no part of a label here;
    a bake adds them. `texts`: lock file -> its text. An image of which one is missing has no label
    of its locks.
    """
    image_of = {each.name: each.reference.partition("@")[0] for each in externals}
    for target, held in standing(targets, holding):
        if is_ours(target) and target.runtime:
            labels = {BASE_NAME: image_of[target.runtime.external]}
            lock_files = _locks(held)
            if lock_files and all(name in texts for name in lock_files):
                labels[LOCK] = lock_digest(texts[name] for name in lock_files)
            labels.update(target.labels)
            target = replace(target, labels=tuple(sorted(labels.items())))
        yield target
