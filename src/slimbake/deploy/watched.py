"""`up --watch`: containers that get edits of code at once, and everything else by a bake.

Containers have a read-only root, so nothing is copied into one: what may be edited so lies in a folder
of the workspace, which is mounted at /app.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from slimbake.build.edit import copy_code, edits, mountable
from slimbake.build.known import image_accounts
from slimbake.build.place import BakeRequest
from slimbake.build.release import release
from slimbake.build.session import Session
from slimbake.build.site import Preparation, hold
from slimbake.console import Console
from slimbake.deploy import compose
from slimbake.errors import SetupError, SlimbakeError
from slimbake.fingerprint.model import Parts
from slimbake.plan.model import Plan
from slimbake.project import Project, reread

_SETTLING = 3.0  # seconds in which Compose ends what Ctrl-C broke off
_SYNCED = "synced"  # in the workspace: a folder for each service with its code
_Code = Mapping[str, tuple[str, Parts]]  # service -> the fingerprint of all but its code, its code


@dataclass(slots=True)
class Watched:
    """The containers of one `up --watch`, and what they have."""

    request: BakeRequest
    names: Callable[[Plan], Mapping[str, str]]  # what images are called
    environment: Mapping[str, str]
    console: Console
    session: Session
    _known: dict[str, tuple[str, Parts]] = field(default_factory=dict)
    _last: Project | None = None
    _held: set[str] = field(default_factory=set)  # depend on one whose last bake failed

    def build(self, project: Project, services: tuple[str, ...]) -> None:
        """Have the containers of these services run what the sources are now. Raises as `release`
        and `compose.up` do.
        """
        self.session.wait()
        self._last = project
        held = [each.service for each in project.plan.services if each.service in self._held]
        services = tuple(dict.fromkeys((*services, *held)))
        try:
            now = self._code(project, services)
            edited = tuple(
                name
                for name, (below, code) in now.items()
                if (was := self._known.get(name)) and was[0] == below and was[1] != code
            )
            if rest := tuple(name for name in services if name not in edited):
                self._bake(project, rest)
            if edited:
                self._sync(project, edited, now)
        except (SlimbakeError, OSError):
            self.session.forget()
            raise

    def end(self) -> None:
        """Leave the containers as `up` does: each runs its image, and mounts no code.

        What Ctrl-C broke off may still be at work on them, so this is tried twice.
        """
        self.session.wait()
        if not self._last or not self._known:
            return
        asked = (self._last, tuple(self._known), self.names(self._last.plan), self.environment)
        try:
            compose.up(*asked, self.console)
        except SetupError:
            time.sleep(_SETTLING)
            self.console.say("once more")
            compose.up(*asked, self.console)

    def _bake(self, project: Project, services: tuple[str, ...]) -> None:
        asked = replace(self.request, targets=services)
        released = release(project, asked, self.console, self.session)
        self.session.wait()  # until then it holds the project
        project = reread(project)
        failed = frozenset(services) - released.names.keys()
        self._held = {
            name
            for name in services
            if failed & {each.service for each in project.plan.starting((name,), services)}
        } - failed
        good = tuple(name for name in services if name not in failed | self._held)
        now = self._code(project, good)
        for name in good:
            self._known.pop(name, None)
        for name in now:
            self._laid(project, name, now)
        self._known |= now
        if good:
            names = self.names(project.plan)
            # Others that they depend on keep the code that they have.
            code = {name: self._folder(project, name).resolve() for name in self._known}
            compose.up(project, good, names, self.environment, self.console, code)
        released.expect_all()

    def _sync(self, project: Project, services: tuple[str, ...], now: _Code) -> None:
        for name in services:
            self._laid(project, name, now)
            self._known[name] = now[name]
        compose.restart(project, services)
        self.console.say(f"synced and restarted: {', '.join(services)}")

    def _code(self, project: Project, services: tuple[str, ...]) -> dict[str, tuple[str, Parts]]:
        """Of those of these services whose code may be mounted."""
        wanted = Preparation(targets=services)
        with hold(project, wanted, self.console, self.session) as site:
            found = edits(site, image_accounts(site))
        able = (name for name in services if mountable(found.code.get(name, (("", "none"),))))
        return {name: (found.below[name], found.code[name]) for name in able}

    def _folder(self, project: Project, service: str) -> Path:
        return project.workspace.path(f"{_SYNCED}/{service}")

    def _laid(self, project: Project, service: str, now: _Code) -> None:
        """Have the folder of a service hold its code as it is now."""
        folder = self._folder(project, service)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for each in folder.iterdir():  # the folder itself is mounted
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        copy_code(project.root / project.plan.target(service).context, now[service][1], folder)
