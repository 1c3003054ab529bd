"""`up --watch`: containers that get edits of code at once, and everything else by a bake.

Containers have a read-only root, so nothing is copied into one: what may be edited so lies in a folder
of the workspace, which is mounted at /app.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slimbake.console import QUIET, Console
from slimbake.deploy import compose
from slimbake.errors import BuildError, CheckError, ManifestError, SetupError, SlimbakeError
from slimbake.fingerprint import Account, Input, Parts, without
from slimbake.plan.model import Plan, Target
from slimbake.project import Project, reread
from slimbake.release.known import image_accounts, image_fingerprints, lock_names
from slimbake.release.place import BakeRequest
from slimbake.release.release import release
from slimbake.release.site import seen
from slimbake.render.generated import laid_out, own_templates

if TYPE_CHECKING:
    import watchfiles

_NEVER = (".git", ".slimbake")  # what Git and slimbake keep for themselves
_QUIET_MS = 50  # no further edit for so long: whoever saves, or checks out a branch, is done
_LOOK_MS = 500  # how long Ctrl-C may wait
_SETTLING = 3.0  # seconds in which Compose ends what Ctrl-C broke off
_SYNCED = "synced"  # in the workspace: a folder for each service with its code
_PLAIN = {"file", "program", "folder"}  # kinds of what code is made of


@dataclass(frozen=True, slots=True)
class Source:
    """What a service is made of."""

    fingerprint: str = ""  # of its image and its checks; "" = unknown, so it has to be built
    rest: str = ""  # the fingerprint of all of its image but its code
    code: Parts = ()
    mountable: bool = False  # its code may be mounted in place of the image's


def sources(project: Project) -> dict[str, Source]:
    """What each service is made of now; {} while files are being moved about. Raises SetupError."""
    plan, root = project.plan, project.root
    generated = {each.path: each for each in laid_out(plan, root)}
    accounts = image_accounts(seen(project, QUIET), generated)
    whole = image_fingerprints(plan, accounts)
    stale = {each.name for each in project.stale_locks}
    mounts = not own_templates(root)  # other stages may stand in a template of the user's own
    found = {}
    services = {each.service for each in plan.services}
    for account in (each for each in accounts if each.target in services):
        name = account.target
        fresh = not stale & lock_names(plan, name)
        code = next((each for each in account.inputs if each.kind == "context"), None)
        found[name] = _source(plan.target(name), account, code, whole.get(name, ""), mounts)
        if not fresh:
            found[name] = replace(found[name], fingerprint="", mountable=False)
    return found


def _source(
    target: Target, account: Account, code: Input | None, fingerprint: str, mounts: bool
) -> Source:
    if code is None:
        return Source(fingerprint)
    recipe = target.recipe
    mountable = bool(
        mounts
        and account.fingerprint
        and recipe
        and recipe.template == "service.Dockerfile.j2"
        and recipe.code
        and not recipe.steps
        and (recipe.early or not recipe.folders)
        and _PLAIN.issuperset(_kinds(code.parts).values())
    )
    return Source(fingerprint, without(account, code), code.parts, mountable)


def _kinds(code: Parts) -> dict[str, str]:
    return {name: what.partition(" ")[0] for name, what in code}


def copy_code(context: Path, code: Parts, folder: Path) -> None:
    """Copy files and folders of a build context, with the modes that they have in an image."""
    for name, kind in _kinds(code).items():
        path = folder / name
        (path if kind == "folder" else path.parent).mkdir(parents=True, exist_ok=True)
        if kind != "folder":
            shutil.copyfile(context / name, path)
            path.chmod(0o755 if kind == "program" else 0o644)


@dataclass(slots=True)
class Watched:
    """The containers of one `up --watch`, and what they have."""

    request: BakeRequest
    names: Callable[[Plan], Mapping[str, str]]  # what images are called
    environment: Mapping[str, str]
    console: Console
    _seen: dict[str, Source] = field(default_factory=dict)  # as last built, well or not
    _running: dict[str, Source] = field(default_factory=dict)  # as containers have it
    _held: set[str] = field(default_factory=set)  # depend on one whose last bake failed
    _last: Project | None = None

    def update(self, project: Project, services: tuple[str, ...], paths: Iterable[str]) -> None:
        """Have the containers of these services run what the sources are now. `paths`: that changed.

        Raises as `release` and `compose.up` do.
        """
        now = sources(project)
        changed = [
            name
            for name in services
            if name in now and (not now[name].fingerprint or now[name] != self._seen.get(name))
        ]
        if not changed:
            return
        if paths := sorted(paths):
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            self.console.say(f"{paths[0]}{more} changed: {', '.join(changed)}")
        self._last = project
        held = [each.service for each in project.plan.services if each.service in self._held]
        every = tuple(dict.fromkeys((*changed, *held)))
        edited = tuple(name for name in every if self._only_code(name, now))
        if rest := tuple(name for name in every if name not in edited):
            self._bake(project, rest, now)
        if edited:
            self._sync(project, edited, now)

    def end(self) -> None:
        """Leave the containers as `up` does: each runs its image, and mounts no code.

        What Ctrl-C broke off may still be at work on them, so this is tried twice.
        """
        plan = self._last.plan if self._last else None
        left = {each.service for each in plan.services} if plan else set()
        mounting = tuple(n for n, each in self._running.items() if each.mountable and n in left)
        if not self._last or not mounting:
            return
        asked = (self._last, mounting, self.names(self._last.plan), self.environment)
        try:
            compose.up(*asked, self.console)
        except SetupError:
            time.sleep(_SETTLING)
            self.console.say("once more")
            compose.up(*asked, self.console)

    def _only_code(self, name: str, now: Mapping[str, Source]) -> bool:
        was = self._running.get(name)
        return bool(
            was
            and was.mountable
            and name in now
            and now[name].mountable
            and was.rest == now[name].rest
            and was.code != now[name].code
        )

    def _bake(
        self, project: Project, services: tuple[str, ...], before: Mapping[str, Source]
    ) -> None:
        released = release(project, replace(self.request, targets=services), self.console)
        project = reread(project)
        failed = frozenset(services) - released.names.keys()
        self._held = {
            name
            for name in services
            if failed & {each.service for each in project.plan.starting((name,), services)}
        } - failed
        good = tuple(name for name in services if name not in failed | self._held)
        after = sources(project)
        for name in services:
            was, now = before.get(name, Source()), after.get(name, Source())
            # a bake writes locks and lists; code that differs now was edited meanwhile
            self._seen[name] = now if was.code == now.code else was
        for name in good:
            self._running[name] = after.get(name, Source())
            if self._running[name].mountable:
                self._lay(project, name)
        if good:
            names = self.names(project.plan)
            # Others that they depend on keep the code that they have.
            mounting = (name for name, each in self._running.items() if each.mountable)
            code = {name: self._folder(project, name).resolve() for name in mounting}
            compose.up(project, good, names, self.environment, self.console, code)
        released.expect_all()

    def _sync(self, project: Project, services: tuple[str, ...], now: Mapping[str, Source]) -> None:
        for name in services:
            self._seen[name] = self._running[name] = now[name]
            self._lay(project, name)
        compose.restart(project, services)
        self.console.say(f"synced and restarted: {', '.join(services)}")

    def _folder(self, project: Project, service: str) -> Path:
        return project.workspace.path(f"{_SYNCED}/{service}")

    def _lay(self, project: Project, service: str) -> None:
        """Have the folder of a service hold its code as it is now."""
        folder = self._folder(project, service)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for each in folder.iterdir():  # the folder itself is mounted
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        code = self._running[service].code
        copy_code(project.root / project.plan.target(service).context, code, folder)


def watch(
    read: Callable[[], Project],
    services: Callable[[Plan], tuple[str, ...]],
    watched: Watched,
    changes: Iterable[frozenset[str]],
    root: Path,
) -> None:
    """Bake and start the services chosen, then, after each set of changed paths, those that differ.

    What changes during a build is the next set. What fails is reported, and watching goes on.
    Raises what is faulty with the manifest at first; ends with KeyboardInterrupt only.
    """
    project = read()
    chosen = services(project.plan)
    watched.console.say(f"building {', '.join(chosen)}; then watching {root}")
    said = _updated(lambda: watched.update(project, chosen, ()), watched.console, "")
    for paths in filter(None, changes):

        def update(paths: frozenset[str] = paths) -> None:
            project = read()
            watched.update(project, services(project.plan), paths)

        said = _updated(update, watched.console, said)


def _updated(update: Callable[[], None], console: Console, said: str) -> str:
    """Update, and report what fails; not a fault of the manifest that was just reported, `said`."""
    try:
        update()
    except (BuildError, CheckError) as error:
        console.say(_text(error))
    except (SlimbakeError, OSError) as error:  # OSError: what is being moved about just now
        if (text := _text(error)) != said:
            console.say(text)
        return text
    return ""


def _text(error: Exception) -> str:
    """An error as the command line prints it."""
    if isinstance(error, ManifestError):
        return "\n".join((*map(str, error.problems), error.message))
    hints = getattr(error, "hint", "").splitlines()
    return "\n".join((f"slimbake: {error}", *(f"  {hint}" for hint in hints)))


def changes_of(root: Path) -> Iterator[frozenset[str]]:
    """The paths that change below a folder, as sets; from the first call of `next` on, which gives
    an empty one.

    Raises SetupError where the system watches no more folders.
    """
    import watchfiles

    root = root.resolve()

    def wanted(_: watchfiles.Change, path: str) -> bool:
        return _relative(path, root).partition("/")[0] not in _NEVER

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
                _relative(path, root)
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
