"""The three sides: slimbake, (i) eight Dockerfiles built one after the other, (ii) the same baked
in parallel.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.setting import LABEL, MANIFEST, PREFIX, Setting, secrets
from bench.timed import CONSOLE, Run, run

from slimbake.docker import BUILD_ENVIRONMENT
from slimbake.project import load
from slimbake.release.command import BakeOptions, arguments, environment
from slimbake.release.site import hold

BASELINE = Path("bench/baseline")


class Side(Protocol):
    """One way to build the services. Seconds are those of whole processes, as a person waits for
    them.
    """

    @property
    def name(self) -> str: ...

    @property
    def repository(self) -> str:
        """Where its images are: <repository>/<service>:latest."""

    @property
    def proves(self) -> bool:
        """Whether `release` runs smokes beside building."""

    def build(self, services: tuple[str, ...]) -> float:
        """Build the images of these services and nothing more; the seconds that it took."""

    def release(self, services: tuple[str, ...]) -> float:
        """Build, and do what else this side does before an image counts as done; the seconds that
        it took.
        """


@dataclass(frozen=True, slots=True)
class Slimbake:
    """`slimbake bake`; and plain `docker buildx bake` on what it generated, which is all that an
    image takes.
    """

    setting: Setting
    name: str = "slimbake"
    repository: str = f"{PREFIX}/slimbake"
    proves: bool = True

    def build(self, services: tuple[str, ...]) -> float:
        root, options = self.setting.root, BakeOptions()
        # not timed: it is no part of an image
        with hold(load(root / MANIFEST), CONSOLE, services) as site:
            site = site.stocked(services)
            words = arguments(site.plan, services, site.around, options)
            variables = {**environment(site.around, options), **BUILD_ENVIRONMENT}
            return _seconds(run(["docker", "buildx", "bake", *words], root, env=variables))

    def release(self, services: tuple[str, ...]) -> float:
        command = [
            sys.executable,
            "-m",
            "slimbake",
            "bake",
            "--registry",
            self.repository,
            *services,
        ]
        return _seconds(run(command, self.setting.root))


@dataclass(frozen=True, slots=True)
class OneByOne:
    """Hand-written Dockerfiles, one `docker build` after the other, each with a full install of its
    own.
    """

    setting: Setting
    name: str = "one by one"
    repository: str = f"{PREFIX}/one-by-one"
    proves: bool = False

    def build(self, services: tuple[str, ...]) -> float:
        return sum(self._build(service) for service in services)

    release = build

    def _build(self, service: str) -> float:
        setting = self.setting
        words = ["--file", str(BASELINE / "one-by-one" / f"{service}.Dockerfile")]
        words += ["--tag", f"{self.repository}/{service}:latest", "--label", f"{LABEL}={self.name}"]
        words += ["--build-context", f"{python_image(setting)}={setting.python}"]
        words += ["--build-context", f"wheels={setting.wheels}"]
        for name, value in setting.around.proxies:
            words += ["--build-arg", f"{name}={value}"]
        for secret in secrets(setting.around, setting.pip_settings):
            words += ["--secret", secret]
        return _seconds(run(["docker", "build", *words, "."], setting.root, env=BUILD_ENVIRONMENT))


@dataclass(frozen=True, slots=True)
class Parallel:
    """The same Dockerfiles with a cache mount for pip, baked in parallel by `docker buildx bake`."""

    setting: Setting
    name: str = "parallel"
    repository: str = f"{PREFIX}/parallel"
    proves: bool = False

    def build(self, services: tuple[str, ...]) -> float:
        setting = self.setting
        variables = {
            "REGISTRY": self.repository,
            "PYTHON": setting.python,
            "WHEELS": str(setting.wheels),
            "CA_BUNDLE": setting.around.ca_bundle,
            "PIP_SETTINGS": str(setting.pip_settings),
            **BUILD_ENVIRONMENT,
        }
        words = ["--file", str(BASELINE / "parallel" / "docker-bake.hcl")]
        words += ["--set", f"*.labels.{LABEL}={self.name}"]
        for name, value in setting.around.proxies:
            words += ["--set", f"*.args.{name}={value}"]
        return _seconds(
            run(["docker", "buildx", "bake", *words, *services], setting.root, env=variables)
        )

    release = build


def sides(setting: Setting, names: Iterable[str]) -> tuple[Side, ...]:
    """The sides of these names, in the order in which they are measured."""
    every: tuple[Side, ...] = (Slimbake(setting), OneByOne(setting), Parallel(setting))
    return tuple(side for side in every if side.name in names)


def python_image(setting: Setting) -> str:
    """The image as the manifest, and so the baselines' FROM, names it."""
    return next(external.image for external in setting.plan.externals if external.name == "python")


def _seconds(done: Run | None) -> float:
    assert done is not None  # no limit was set
    return done.seconds
