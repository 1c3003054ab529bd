"""`bake --watch`: builds what an edit touches, over and over, until it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slimbake.build.touched import NEVER, PathChange, asked_in, line, touched, worth_reading
from slimbake.console import Console
from slimbake.errors import BuildError, CheckError, ManifestError, SetupError, SlimbakeError
from slimbake.plan.model import Plan
from slimbake.project import Project

if TYPE_CHECKING:
    import watchfiles


_KINDS: dict[str, Literal["added", "modified", "deleted"]] = {
    "added": "added",
    "modified": "modified",
    "deleted": "deleted",
}
_QUIET_MS = 50  # no further edit for so long: whoever saves, or checks out a branch, is done
_LOOK_MS = 500  # how long Ctrl-C may wait
Build = Callable[[Project, tuple[str, ...]], None]  # these services of a project


def watch(
    read: Callable[[], Project],
    build: Build,
    changes: Iterable[frozenset[PathChange]],
    root: Path,
    console: Console,
    services: Callable[[Plan], tuple[str, ...]],
) -> None:
    """Build the services chosen, then, for each set of changes, those of them that it touches.

    What comes during a build is the next set. A fault of the manifest, a build or a smoke is said,
    and watching goes on; what could not begin is tried again with the next edit. Raises what is
    faulty at first.
    """
    project = read()
    plan = project.plan
    console.say(f"building {', '.join(services(plan))}; then watching {root}")
    waiting: dict[str, tuple[str, ...]] = {}
    seen: frozenset[PathChange] = frozenset()  # since the manifest was last read without fault
    if not _built(build, project, services(plan), console):
        waiting = dict.fromkeys(services(plan), (plan.manifest,))
    said = ""
    for new in changes:
        known = _ignores(plan, root), asked_in(project.fleet)
        if not seen and not worth_reading(new, plan) and not touched(plan, plan, new, *known):
            continue
        seen |= new
        try:
            project = read()
            now = project.plan
            chosen = services(now)
        except (SlimbakeError, OSError) as error:  # OSError: what is being moved about just now
            if (text := _text(error)) != said and new:
                console.say(text)
                said = text
            continue
        said = ""
        found = {
            **waiting,
            **touched(plan, now, seen, _ignores(now, root), asked_in(project.fleet)),
        }
        found = {service: found[service] for service in chosen if service in found}
        passing = _passing(seen, root)
        plan, seen = now, frozenset()
        if found:
            console.say(line(found, passing))
            waiting = {} if _built(build, project, tuple(found), console) else found


def _passing(changes: Iterable[PathChange], root: Path) -> frozenset[str]:
    """The paths that came and went, as temporary files of editors do; they count all the same, as
    a file may also have gone, come back and gone again.
    """
    kinds: dict[str, set[str]] = {}
    for each in changes:
        kinds.setdefault(each.path, set()).add(each.kind)
    came = (path for path, said in kinds.items() if {"added", "deleted"} <= said)
    return frozenset(path for path in came if not (root / path).exists())


def _built(build: Build, project: Project, services: tuple[str, ...], console: Console) -> bool:
    """Build, and say what fails. False where it was not the services' fault, so that they have to
    be built yet.
    """
    try:
        build(project, services)
    except (BuildError, CheckError) as error:
        console.say(_text(error))
    except (SlimbakeError, OSError) as error:
        console.say(_text(error))
        return False
    return True


def _text(error: Exception) -> str:
    """An error as the command line prints it."""
    if isinstance(error, ManifestError):
        return "\n".join((*map(str, error.problems), error.message))
    hints = getattr(error, "hint", "").splitlines()
    return "\n".join((f"slimbake: {error}", *(f"  {hint}" for hint in hints)))


def _ignores(plan: Plan, root: Path) -> dict[str, str]:
    """The .dockerignore of each target whose Dockerfile is the user's, as Docker looks for it."""
    found = {}
    for target in plan.targets:
        places = (
            root / f"{target.dockerfile}.dockerignore",
            root / target.context / ".dockerignore",
        )
        if target.recipe is None and (
            file := next((place for place in places if place.is_file()), None)
        ):
            found[target.name] = file.read_text("utf-8", errors="replace")
    return found


def changes_of(root: Path) -> Iterator[frozenset[PathChange]]:
    """The changes below a folder, as sets; from the first call of `next` on, which gives an empty
    one.

    Raises SetupError where the system watches no more folders.
    """
    import watchfiles

    root = root.resolve()

    def wanted(_: watchfiles.Change, path: str) -> bool:
        return _relative(path, root).partition("/")[0] not in NEVER

    try:
        # All of the root, so that a folder that is removed, or renamed, is seen when it comes back.
        for found in watchfiles.watch(
            root,
            watch_filter=wanted,
            step=_QUIET_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            yield frozenset(
                PathChange(_relative(path, root), _KINDS[kind.name])
                for kind, path in found
                if kind is not watchfiles.Change.modified or not Path(path).is_dir()
            )
    except OSError as error:
        raise SetupError(
            f"{root} cannot be watched: {error}",
            "raise the limit: sysctl fs.inotify.max_user_watches=524288",
        ) from None


def _relative(path: str, root: Path) -> str:
    return path.removeprefix(f"{root}/")
