"""What images say of their origin, as labels: the external that they were distilled from, and their
locks. Pure.
"""

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
    """The lock files of what lies in a target's image: its bases', its weights', its own.

    Not those of what builds a local package: that stays outside.
    """
    return _locks(plan.held((target,)))


def _locks(targets: Iterable[Target]) -> tuple[str, ...]:
    lock_files: list[str] = []
    for target in targets:
        if target.recipe and target.kind not in ("wheel", "layer"):
            lock_files += filter(None, (target.recipe.system_lock, target.recipe.lock))
    return tuple(lock_files)


def exports(plan: Plan, target: str) -> dict[str, str]:
    """Of these, the locks of weights that lie in the image in another form: lock file -> what that
    is called.
    """
    recipes = (held_target.recipe for held_target in plan.held((target,)) if held_target.recipe)
    return {recipe.lock: recipe.export.model for recipe in recipes if recipe.export}


def is_ours(target: Target) -> bool:
    """Whether a target is an image of Python that slimbake lays out; of the user's own Dockerfiles
    nothing is known.
    """
    return bool(target.recipe) and target.kind in ("runtime", "base", "service")


def with_origin(
    targets: Sequence[Target], externals: Iterable[External], texts: Mapping[str, str]
) -> Iterator[Target]:
    """The targets, each after all that it needs, with these labels on the images.

    `externals`: which digest each has is known when it is baked, and is given to it then. `texts`: lock file -> its text; without one of them, no digest.
    """
    names = {each.name: each.reference.partition("@")[0] for each in externals}
    for target, held_targets in standing(targets, holding):
        if is_ours(target) and target.runtime:
            base = (BASE_NAME, names[target.runtime.external])
            target = _labelled(target, base, _locks(held_targets), texts)
        yield target


def _labelled(
    target: Target, base: tuple[str, str], names: Sequence[str], texts: Mapping[str, str]
) -> Target:
    complete = names and all(name in texts for name in names)
    lock = ((LOCK, lock_digest(texts[name] for name in names)),) if complete else ()
    label_names = {name for name, _ in target.labels}
    new_labels = (pair for pair in (base, *lock) if pair[0] not in label_names)
    return replace(target, labels=tuple(sorted((*target.labels, *new_labels))))
