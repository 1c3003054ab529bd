"""`up --watch`: containers that get edits of code at once, and everything else by a bake.

Not Compose's own `develop.watch`: it takes only services with a `build:`, copies nothing into a
container whose root is read-only, and needs `rm` in it to remove a file. What may be edited lies in
a folder of the workspace, which is mounted at /app.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slimbake.console import QUIET, Console
from slimbake.deploy import compose
from slimbake.errors import ManifestError, SetupError, SlimbakeError
from slimbake.fingerprint import Account, Parts, without
from slimbake.inside.lines import some
from slimbake.lock.locks import expect_fresh
from slimbake.plan.model import Plan, Recipe, Target
from slimbake.project import Project, reread
from slimbake.release.inputs import image_accounts, image_fingerprints
from slimbake.release.place import BakeRequest
from slimbake.release.release import release
from slimbake.release.site import seen
from slimbake.render.generated import laid_out, own_templates

if TYPE_CHECKING:
    import watchfiles

_NEVER = (".git", ".slimbake")  # what Git and slimbake keep for themselves
_QUIET_MS = 50  # no further edit for so long: whoever saves, or checks out a branch, is done
_LOOK_MS = 500  # how long Ctrl-C may wait
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
    generated = {file.path: file for file in laid_out(plan, root)}
    accounts = image_accounts(seen(project, QUIET), generated)
    whole = image_fingerprints(plan, accounts)
    mounts = not own_templates(root)  # other stages may stand in a template of the user's own
    services = set(plan.service_names)
    found = {}
    for account in accounts:
        name = account.target
        if name in services:
            found[name] = _source(plan.target(name), account, whole.get(name, ""), mounts)
    return found


def _source(target: Target, account: Account, fingerprint: str, mounts: bool) -> Source:
    code = next((entry for entry in account.inputs if entry.kind == "context"), None)
    if code is None:
        return Source(fingerprint)
    mountable = mounts and bool(account.fingerprint) and _is_mountable(target.recipe, code.parts)
    return Source(fingerprint, without(account, code), code.parts, mountable)


def _is_mountable(recipe: Recipe | None, code: Parts) -> bool:
    """Whether the folder of the code has nothing but this code in an image."""
    if recipe is None or not recipe.code or recipe.steps or recipe.copies:
        return False
    if not recipe.early:  # some folder of it is a volume
        return False
    return _PLAIN.issuperset(_kinds(code).values())


def _kinds(code: Parts) -> dict[str, str]:
    return {name: content.partition(" ")[0] for name, content in code}


def copy_code(context: Path, code: Parts, folder: Path) -> None:
    """Copy files and folders of a build context, with the modes that they have in an image."""
    for name, kind in _kinds(code).items():
        path = folder / name
        if kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(context / name, path)
        path.chmod(0o755 if kind == "program" else 0o644)


@dataclass(slots=True)
class Watched:
    """The containers of one `up --watch`, and what they have."""

    request: BakeRequest
    names: Callable[[Plan], Mapping[str, str]]  # what images are called
    environment: Mapping[str, str]
    console: Console
    _baked: bool = False  # once, whether or not it passed
    _seen: dict[str, Source] = field(default_factory=dict)  # at the last look
    _running: dict[str, Source] = field(default_factory=dict)  # as containers have it

    def update(self, project: Project, services: tuple[str, ...], paths: Iterable[str]) -> None:
        """Have the containers of these services run what the sources are now. `paths`: that changed.

        What does not run what it should is tried again whenever one of them changes. Raises as
        `release` and `compose.up` do, and StaleFiles at once where a person has to lock.
        """
        expect_fresh(lock for lock in project.stale_for(services) if not lock.new)
        now: dict[str, Source] = {}
        changed = list(services)
        if self._baked:
            now = sources(project)
            changed = [name for name in services if self._has_changed(name, now)]
        self._baked = True
        if not changed:
            return
        if paths := sorted(paths):
            self.console.say(f"{some(paths, 1)} changed: {', '.join(changed)}")
        self._seen |= now
        edited = []
        rest = []
        for name in services:
            if self._only_code(name, now):
                edited.append(name)
            elif name in changed or name not in self._running:
                rest.append(name)
        if rest:
            self._bake(project, tuple(rest))
        if edited:
            self._sync(project, tuple(edited), now)

    def _has_changed(self, name: str, now: Mapping[str, Source]) -> bool:
        """Whether a service is not made of what it was at the last look, or may not be."""
        if name not in now:
            return False
        return not now[name].fingerprint or now[name] != self._seen.get(name)

    def _only_code(self, name: str, now: Mapping[str, Source]) -> bool:
        """Whether nothing but the code of a service differs from what its container has."""
        old = self._running.get(name)
        new = now.get(name)
        if not old or not new or not (old.mountable and new.mountable):
            return False
        return old.rest == new.rest and old.code != new.code

    def _bake(self, project: Project, services: tuple[str, ...]) -> None:
        released = release(project, replace(self.request, targets=services), self.console)
        project = reread(project)  # a bake writes locks and lists
        now = sources(project)
        failed = frozenset(services) - released.names.keys()
        good = []
        for name in services:
            self._running.pop(name, None)
            needed = {other.service for other in project.plan.starting((name,), services)}
            if failed.isdisjoint((name, *needed)):
                good.append(name)
                self._seen[name] = self._running[name] = now.get(name, Source())
                if self._running[name].mountable:
                    self._lay(project, name)
        if good:
            # Others that they depend on keep the code that they have.
            code = {}
            for name, source in self._running.items():
                if source.mountable:
                    code[name] = self._folder(project, name).resolve()
            names = self.names(project.plan)
            compose.up(project, tuple(good), names, self.environment, self.console, code)
        released.expect_all()

    def _sync(self, project: Project, services: tuple[str, ...], now: Mapping[str, Source]) -> None:
        for name in services:
            self._running[name] = now[name]
            self._lay(project, name)
        compose.restart(project, services, self.console)

    def _folder(self, project: Project, service: str) -> Path:
        return project.workspace.path(f"{_SYNCED}/{service}")

    def _lay(self, project: Project, service: str) -> None:
        """Have the folder of a service hold its code as it is now."""
        folder = self._folder(project, service)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for path in folder.iterdir():  # the folder itself is mounted
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        context = project.root / project.plan.target(service).context
        copy_code(context, self._running[service].code, folder)


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
    chosen = services(read().plan)
    watched.console.say(f"building {', '.join(chosen)}; then watching {root}")
    for paths in itertools.chain((frozenset[str](),), filter(None, changes)):
        try:
            project = read()
            watched.update(project, services(project.plan), paths)
        except (SlimbakeError, OSError) as error:  # OSError: what is being moved about just now
            watched.console.say(_text(error))


def _text(error: Exception) -> str:
    """An error as the command line prints it."""
    if isinstance(error, ManifestError):
        return "\n".join((*error.lines(), error.message))
    hints = [f"  {line}" for line in getattr(error, "hint", "").splitlines()]
    return "\n".join((f"slimbake: {error}", *hints))


def changes_of(root: Path) -> Iterator[frozenset[str]]:
    """The paths that change below a folder, as sets; from the first call of `next` on, which gives
    an empty one.

    Raises SetupError where the system watches no more folders.
    """
    import watchfiles

    prefix = f"{root.resolve()}/"

    def counts(_: watchfiles.Change, path: str) -> bool:
        return path.removeprefix(prefix).partition("/")[0] not in _NEVER

    try:
        # All of the root, so that a folder that is removed, or renamed, is seen when it comes back.
        for changes in watchfiles.watch(
            root,
            watch_filter=counts,
            step=_QUIET_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            paths = set()
            for kind, path in changes:
                # A folder changes with each file in it.
                if kind is not watchfiles.Change.modified or not Path(path).is_dir():
                    paths.add(path.removeprefix(prefix))
            yield frozenset(paths)
    except OSError as error:
        raise SetupError(
            f"{root} cannot be watched: {error}",
            "raise the limit: sysctl fs.inotify.max_user_watches=524288",
        ) from None
