"""Which services an edit touches, and why: paths and a plan in, services out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from slimbake.config.naming import BAKE, DOCKERFILES, LOCKS, PROGRAMS, WARM
from slimbake.fleet import Fleet
from slimbake.host.dockerignore import Ignore, Matched
from slimbake.plan.model import Plan, Target
from slimbake.render import BAKE_FILE
from slimbake.render.workflow import PIPELINES

NEVER = (".git", ".slimbake")  # what Git and slimbake keep for themselves
TEMPLATES = "templates"
_SHARED_TEMPLATES = (f"{TEMPLATES}/_macros.j2", "docker-bake.hcl.j2")
# Folders that slimbake makes: one that comes or goes may bring other locks, which the plan then has.
_FOLDERS = (BAKE, LOCKS, WARM)
_READ_TOO = (".dockerignore",)


@dataclass(frozen=True, slots=True, order=True)
class PathChange:
    """What happened to a path, relative to the root."""

    path: str
    kind: Literal["added", "modified", "deleted"] = "modified"


def worth_reading(changes: Iterable[PathChange], plan: Plan) -> bool:
    """Whether the manifest, or a file that is read with it, may be another one: the plan has to be
    made again.
    """
    return any(
        change.path == plan.manifest
        or change.path.rpartition("/")[2] in _READ_TOO
        or change.path in _FOLDERS
        or change.path.startswith((f"{LOCKS}/", f"{WARM}/"))
        for change in changes
    )


def touched(
    before: Plan,
    now: Plan,
    changes: Iterable[PathChange],
    ignores: Mapping[str, str],
    asked: Mapping[str, tuple[str, ...]],
) -> dict[str, tuple[str, ...]]:
    """The services that have to be built again, in the plan's order, each with the paths that are
    the reason.

    `before`: the plan as it was last built; a service whose targets it has otherwise, or not at
    all, is touched by the manifest. `ignores`: of targets whose Dockerfile is the user's, the text
    of their .dockerignore; `asked`: of what installs packages, the files that name them.
    """
    known = sorted(change for change in changes if not _ours(change.path, now))
    reasons: dict[str, tuple[str, ...]] = {}
    found = {
        target.name: _reasons(target, known, ignores.get(target.name), asked.get(target.name, ()))
        for target in now.targets
    }
    read = tuple(change.path for change in known if worth_reading((change,), now)) or (
        now.manifest,
    )
    for service in now.services:
        targets = _all(now, service.service)
        paths = {path: None for target in targets for path in found[target.name]}
        if not paths and targets != _all(before, service.service):
            paths = dict.fromkeys(read)
        if paths:
            reasons[service.service] = tuple(sorted(paths))
    return reasons


def asked_in(fleet: Fleet) -> dict[str, tuple[str, ...]]:
    """The files in which each base and service names its packages, by target."""
    return {name: layer.asks.files for name, layer in fleet.layers.items()}


def line(reasons: Mapping[str, tuple[str, ...]], passing: Collection[str] = ()) -> str:
    """What is built, and why, in one line; of paths that are `passing`, if there are no others."""
    every = {path for each in reasons.values() for path in each}
    paths = sorted(every.difference(passing) or every)
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more} changed: {', '.join(reasons)}"


def _ours(path: str, plan: Plan) -> bool:
    """Whether nothing is built for a path: slimbake itself writes it, or Git."""
    own = {target.dockerfile for target in plan.targets if target.recipe is None}
    first = path.partition("/")[0]
    return first in NEVER or (
        path not in own
        and (
            f"{path}/".startswith((f"{DOCKERFILES}/", f"{PROGRAMS}/"))
            or path in (*_FOLDERS, BAKE_FILE, *PIPELINES)
        )
    )


def _all(plan: Plan, service: str) -> tuple[Target, ...]:
    """All that an image and its smoke are made of; nothing of a service that the plan does not
    have.
    """
    own = tuple(target.name for target in plan.targets if target.service == service)
    return plan.needed(own)


def _reasons(
    target: Target, changes: Iterable[PathChange], ignore: str | None, asked: tuple[str, ...]
) -> tuple[str, ...]:
    folders = [(target.context, ignore if target.recipe is None else "\n".join(target.ignore))]
    # All locks, rules and warm lists are one context each, of which a target reads its own; the
    # programs are slimbake's.
    folders += [
        (value, "")
        for name, value in target.contexts
        if name not in ("locks", "rules", "warm") and ":" not in value
    ]
    files = {*_files(target), *asked}
    return tuple(
        change.path
        for change in changes
        if change.path in files
        or any(_within(change, folder, text or "") for folder, text in folders)
    )


def _files(target: Target) -> frozenset[str]:
    """The single files that decide what a target is."""
    if target.recipe is None:
        return frozenset(
            {
                target.dockerfile,
                f"{target.dockerfile}.dockerignore",
                f"{target.context}/.dockerignore",
            }
        )
    install, template = target.recipe.install, target.recipe.template
    locks = {lock for lock in (install.lock if install else "", target.recipe.lock) if lock}
    found = {*(f"{LOCKS}/{lock}" for lock in locks), *_SHARED_TEMPLATES}
    found |= {f"{WARM}/{install.lock}"} if install and install.warm else set()
    found |= {f"{LOCKS}/{target.name}.system.txt"} if target.recipe.system else set()
    return frozenset(
        {
            *found,
            template.removeprefix("./") if template.startswith("./") else f"{TEMPLATES}/{template}",
        }
    )


def _within(change: PathChange, folder: str, ignore: str) -> bool:
    """Whether a change is one of a folder's files that are sent, or of the folder itself."""
    path = change.path
    if folder == path or folder.startswith(f"{path}/"):
        return change.kind != "modified"  # the folder, or one that it lies in, has come or gone
    if folder not in (".", "") and not path.startswith(f"{folder}/"):
        return False
    return not _left_out(path.removeprefix(f"{folder}/"), ignore)


def _left_out(path: str, text: str) -> bool:
    ignore = _ignore(text)
    above: Matched = ()
    out = False
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        out, above = ignore("/".join(parts[:end]), above)
        if out and not ignore.exceptions:
            return True
    return out


@lru_cache(maxsize=64)
def _ignore(text: str) -> Ignore:
    try:
        return Ignore(text)
    except ValueError:
        return Ignore("")  # BuildKit will say what is wrong with it
