"""The files of a new service: a small app that works, and a smoke that fails when it does not."""

from __future__ import annotations

import keyword
import sys
from dataclasses import dataclass
from pathlib import Path

import jinja2

from slimbake.config.model import Manifest
from slimbake.config.specs import name_of
from slimbake.render.generated import SHIPPED

FOLDER = "service-skeleton"
_KINDS = {"fastapi": "a FastAPI app", "stdlib": "an HTTP server of the standard library"}
# Folders of these names are not part of an image; a service's package must be.
_LEFT_OUT = frozenset({"tests", "train"})


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Which files a new service gets."""

    service: str
    package: str  # the Python package with its code
    kind: str

    @property
    def what(self) -> str:
        return _KINDS[self.kind]

    def files(self, root: Path, port: object) -> dict[str, str]:
        """Path in the service's folder -> text; the repository's own templates win, file by file."""
        values = {"name": self.service, "package": self.package, "port": port}
        environment = jinja2.Environment(  # noqa: S701 - no HTML
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        files = {
            path.replace("package/", f"{self.package}/", 1): (
                environment.from_string(text).render(values)
            )
            for path, text in self._templates(root).items()
        }
        return dict(sorted(files.items()))

    def _templates(self, root: Path) -> dict[str, str]:
        folders = (
            templates / FOLDER / part
            for templates in (SHIPPED / "templates", root / "templates")
            for part in ("any", self.kind)
        )
        return {
            path.relative_to(folder).as_posix().removesuffix(".j2"): path.read_text("utf-8")
            for folder in folders
            for path in sorted(folder.rglob("*.j2"))
        }


def skeleton(manifest: Manifest, service: str, base: str | None) -> Skeleton:
    """Choose the kind that needs nothing beyond the base, and a package name that hides no other
    module.
    """
    required = _required(manifest, base)
    package = service.replace("-", "_")
    hides = package in sys.stdlib_module_names | _LEFT_OUT or keyword.iskeyword(package)
    if hides or service in required:
        package += "_service"
    return Skeleton(service, package, "fastapi" if {"fastapi", "uvicorn"} <= required else "stdlib")


def _required(manifest: Manifest, base: str | None) -> set[str]:
    """The normalised names of what a base and all that it extends require."""
    by_name = {each.name: each for each in manifest.bases}
    names: set[str] = set()
    while base in by_name:
        asked = by_name[base].requirements
        names |= {name_of(spec) for spec in asked.specs} | {
            package.name for package in asked.packages
        }
        base = by_name[base].extends
    return names
