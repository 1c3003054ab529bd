"""What slimbake finds on this machine, and what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slimbake.config.compose import own_compose
from slimbake.docker.compose import FLOOR as COMPOSE_FLOOR
from slimbake.docker.compose import INSTALL
from slimbake.docker.engine import Absent, DockerEngine, find, remedy, version_text
from slimbake.externals.resolve import STANDINS, available_images
from slimbake.fleet.model import External
from slimbake.host.machine import Machine, machine
from slimbake.host.pip import without_credentials
from slimbake.host.uv import uv_version

State = Literal["ok", "warn", "fail"]

_DISK_FAIL = 3_000_000_000
# Bytes. Eight services with two ML stacks, unpacked, and the build cache take about 8 GB.
_DISK_WARN = 12_000_000_000


@dataclass(frozen=True, slots=True)
class DoctorRow:
    """One thing that was looked at."""

    check: str
    state: State
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was looked at."""

    rows: tuple[DoctorRow, ...]

    @property
    def healthy(self) -> bool:
        """Whether a bake can work here: nothing fails."""
        return all(row.state != "fail" for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFacts:
    """What the report is made of."""

    here: Machine
    engine: DockerEngine | Absent
    # With where each can be had: `engine`, `registry`, or empty.
    externals: tuple[tuple[External, str], ...]
    # Folders of packages that the machine's settings name and that do not exist.
    missing_folders: tuple[str, ...]
    mmdebstrap: bool
    uv: str
    # Of the repository's own compose file: its name, and the bake targets that it would change.
    merged: tuple[str, ...] = ()


def merged(root: Path, targets: Iterable[str]) -> tuple[str, ...]:
    """The name of the repository's own compose file and the bake targets that it would change."""
    own = own_compose(root)
    same = sorted(own.built & {*targets})
    return (own.name, *same) if same else ()


def doctor(externals: Iterable[External], merged: tuple[str, ...] = ()) -> Diagnosis:
    """Look at everything that a bake of these externals needs, and change nothing.

    `merged`: as the function of that name gives it.
    """
    engine = find()
    wanted = tuple(externals)
    found = (
        available_images(wanted, engine)
        if isinstance(engine, DockerEngine)
        else (None,) * len(wanted)
    )
    here = machine()
    folders = here.packages.find_links_folders
    return report(
        DoctorFacts(
            here=here,
            engine=engine,
            externals=tuple((w, f.where if f else "") for w, f in zip(wanted, found, strict=True)),
            missing_folders=tuple(str(folder) for folder in folders if not folder.is_dir()),
            mmdebstrap=shutil.which("mmdebstrap") is not None,
            uv=uv_version(),
            merged=merged,
        )
    )


def report(facts: DoctorFacts) -> Diagnosis:
    """What the facts mean."""
    return Diagnosis(
        (
            *_engine(facts.engine, facts.here),
            *_merged(facts.merged),
            *_externals(facts),
            DoctorRow("uv", "ok", facts.uv),
            _disk(facts.here.disk_free),
            *_packages(facts.here, facts.missing_folders),
            _root(facts),
        )
    )


def _engine(engine: DockerEngine | Absent, here: Machine) -> Iterator[DoctorRow]:
    if isinstance(engine, Absent):
        yield DoctorRow("engine", "fail", engine.found, remedy(engine, here))
        return
    whose = "started by slimbake" if engine.started else "not slimbake's, and left as it is"
    yield DoctorRow("engine", "ok", f"Docker {engine.version} at {engine.endpoint}, {whose}")
    if engine.store == "containerd":
        yield DoctorRow("image store", "ok", "containerd")
    else:
        yield DoctorRow(
            "image store",
            "warn",
            "graph driver: bakes, but compressed sizes stay unmeasured and the cache cannot be"
            " exported",
            'Docker takes the other store with {"features": {"containerd-snapshotter": true}} in'
            " daemon.json",
        )
    yield DoctorRow("buildx", "ok", version_text(engine.buildx))
    found = version_text(engine.compose) if engine.compose else "not installed"
    if (engine.compose or ()) < COMPOSE_FLOOR:
        needs = f"{found}: `up`, `run` and `logs` need {version_text(COMPOSE_FLOOR)} or newer"
        yield DoctorRow("compose", "warn", needs, INSTALL)
    else:
        yield DoctorRow("compose", "ok", found)
    if engine.builder == "docker":
        yield DoctorRow("builder", "ok", "docker")
    else:
        yield DoctorRow(
            "builder",
            "warn",
            f"{engine.builder}: sees none of the engine's images, so no stand-in for Python",
            "use the engine's own where no registry can be reached: --builder default",
        )


def _merged(merged: tuple[str, ...]) -> Iterator[DoctorRow]:
    if merged:
        file, *names = merged
        yield DoctorRow(
            "compose file",
            "warn",
            f"{file} builds services that are bake targets, too: {', '.join(names)}",
            f"plain `docker buildx bake` merges {file} into them: name the file, with `docker buildx"
            " bake --file docker-bake.hcl`, as slimbake does; or remove their `build:`",
        )


def _externals(facts: DoctorFacts) -> Iterator[DoctorRow]:
    for external, where in facts.externals:
        check = f"external {external.name}"
        if where:
            yield DoctorRow(check, "ok", f"{external.reference}, in the {where}")
        elif isinstance(facts.engine, Absent):
            yield DoctorRow(
                check, "warn", f"{external.reference}: not asked for, without an engine"
            )
        elif external.name in STANDINS:
            yield DoctorRow(
                check,
                "warn",
                f"{external.reference} cannot be reached: a stand-in is used",
                "images made with it are for this machine only; for others make the registry"
                " reachable",
            )
        else:
            yield DoctorRow(
                check,
                "fail",
                f"{external.reference} cannot be reached, and slimbake has no stand-in for it",
                "make its registry reachable, or bring the image in: docker load",
            )
    needed = any(external.name == "python" and not where for external, where in facts.externals)
    if facts.mmdebstrap:
        yield DoctorRow("mmdebstrap", "ok", "installed")
    elif needed and isinstance(facts.engine, DockerEngine):
        yield DoctorRow(
            "mmdebstrap",
            "fail",
            "not installed; the stand-in for Python needs it",
            "apt-get install mmdebstrap",
        )
    else:
        yield DoctorRow("mmdebstrap", "ok", "not installed; only a stand-in for Python needs it")


def _disk(free: int) -> DoctorRow:
    found = f"{free / 1e9:.1f} GB free where Docker keeps its data"
    if free < _DISK_FAIL:
        return DoctorRow(
            "disk", "fail", found, "free some space: slimbake prune, docker system prune"
        )
    if free < _DISK_WARN:
        return DoctorRow(
            "disk",
            "warn",
            found,
            "a cold bake of an ML fleet may need 8 GB: slimbake prune, docker system prune",
        )
    return DoctorRow("disk", "ok", found)


def _packages(here: Machine, missing: tuple[str, ...]) -> Iterator[DoctorRow]:
    packages = here.packages
    index = without_credentials(packages.index_url) if packages.index_url else "the installer's own"
    more = "".join(f", {without_credentials(url)}" for url in packages.extra_index_urls)
    yield DoctorRow(
        "package index", "ok", "none (no-index)" if packages.no_index else f"{index}{more}"
    )
    if missing:
        yield DoctorRow(
            "find-links",
            "warn",
            f"no such folder: {', '.join(missing)}",
            "fix PIP_FIND_LINKS, UV_FIND_LINKS or pip.conf",
        )
    else:
        yield DoctorRow(
            "find-links", "ok", ", ".join(map(without_credentials, packages.find_links)) or "none"
        )
    yield DoctorRow(
        "CA bundle", "ok", str(here.ca_bundle) if here.ca_bundle else "the system's own"
    )
    yield DoctorRow("proxies", "ok", ", ".join(name for name, _ in here.proxies) or "none")


def _root(facts: DoctorFacts) -> DoctorRow:
    if facts.here.root:
        return DoctorRow("root", "ok", "yes")
    if isinstance(facts.engine, DockerEngine):
        return DoctorRow("root", "ok", "no, and not needed: the engine answers")
    return DoctorRow(
        "root",
        "warn",
        "no: slimbake can neither install nor start an engine",
        "run slimbake setup as root",
    )
