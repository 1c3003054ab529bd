"""What slimbake finds on this machine, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slimbake import docker
from slimbake.config.files import own_compose
from slimbake.docker.beside import own_services
from slimbake.docker.compose import FLOOR as COMPOSE_FLOOR
from slimbake.docker.compose import INSTALL
from slimbake.docker.engine import Absent, DockerEngine, find, not_run, remedy
from slimbake.errors import DockerError, SetupError, SlimbakeError
from slimbake.externals.beside import BesideImage, beside_images, how_to_get
from slimbake.externals.resolve import in_engine
from slimbake.fleet.model import External
from slimbake.host.machine import Machine, machine
from slimbake.host.pip import without_credentials
from slimbake.host.uv import uv_version

State = Literal["ok", "warn", "fail"]

_PLACES = ("engine", "registry")
_SECONDS = 5.0  # that a registry has to answer
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

    def conclusion(self, following: str) -> str:
        """Whether a bake can work here, in words, and what to do next: `following` where it can."""
        fails = [row.check for row in self.rows if row.state == "fail"]
        if fails:
            return (
                f"A bake cannot work here until this is fixed: {', '.join(fails)}. The lines above"
                " say how; then run `slimbake doctor` again."
            )
        warns = [row.check for row in self.rows if row.state == "warn"]
        text = "A bake can work here."
        if warns:
            text += f" Warnings, explained above: {', '.join(warns)}."
        return f"{text} Next: {following}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFacts:
    """What the report is made of."""

    here: Machine
    engine: DockerEngine | Absent
    # With `engine` or `registry`, where each is there; else with what its registry answers.
    externals: tuple[tuple[External, str], ...]
    # Of the repository's own compose file, what starts need: likewise.
    beside: tuple[tuple[BesideImage, str], ...] = ()
    unreadable: str = ""  # why Compose cannot read that file
    # Folders of packages that the machine's settings name and that do not exist.
    missing_folders: tuple[str, ...]
    uv: str
    platforms: tuple[str, ...] = ()  # that the fleet is built for
    # Of the repository's own compose file: its name, and the bake targets that it would change.
    merged: tuple[str, ...] = ()


def without_engine(error: SlimbakeError) -> SlimbakeError:
    """Of what Docker did not do, that there is no engine and what to do, where that is why."""
    if isinstance(error, DockerError):
        absent = find()
        if isinstance(absent, Absent) and absent.what in ("client", "daemon", "permission"):
            return SetupError(absent.found, remedy(absent))
    return error


def merged(root: Path, targets: Iterable[str]) -> tuple[str, ...]:
    """The name of the repository's own compose file and the bake targets that it would change."""
    compose_file = own_compose(root)
    same = sorted(compose_file.built & {*targets})
    if not same:
        return ()
    return (compose_file.name, *same)


def doctor(
    externals: Iterable[External],
    merged: tuple[str, ...] = (),
    root: Path | None = None,
    needs: Mapping[str, Sequence[str]] = {},
    platforms: tuple[str, ...] = (),
) -> Diagnosis:
    """Look at everything that a bake of these externals needs, and change nothing.

    `merged`: as the function of that name gives it; `needs`: service -> what it needs of the
    compose file in `root`; `platforms`: that the fleet is built for.
    """
    engine = find()
    required = tuple(externals)
    beside: tuple[BesideImage, ...] = ()
    unreadable = ""
    if root and needs:
        beside, unreadable = _beside(root, needs)
    places: dict[str, str] = {}
    if isinstance(engine, DockerEngine):
        # Only the engine's own builder sees the engine's images.
        images = {external.reference: engine.builder == "docker" for external in required}
        images |= {neighbour.image: True for neighbour in beside}
        places = _whereabouts(images)
    here = machine()
    missing_folders = []
    for folder in here.packages.find_links_folders:
        if not folder.is_dir():
            missing_folders.append(str(folder))
    return report(
        DoctorFacts(
            here=here,
            engine=engine,
            externals=tuple(
                (external, places.get(external.reference, "")) for external in required
            ),
            beside=tuple((neighbour, places.get(neighbour.image, "")) for neighbour in beside),
            unreadable=unreadable,
            missing_folders=tuple(missing_folders),
            uv=uv_version(),
            platforms=platforms,
            merged=merged,
        )
    )


def _beside(root: Path, needs: Mapping[str, Sequence[str]]) -> tuple[tuple[BesideImage, ...], str]:
    file = root / own_compose(root).name
    try:
        return beside_images(file, own_services(file), needs), ""
    except SetupError as error:
        return (), error.hint.strip().rpartition("\n")[2] or error.message


def _whereabouts(images: Mapping[str, bool]) -> dict[str, str]:
    """Where each of these images is, asked at once: `engine`, `registry`, or what that says.

    `images`: name -> whether it may be the engine's.
    """

    def where(image: str) -> str:
        if images[image] and in_engine(image):
            return "engine"
        digest, refusal = docker.registry_answer(image, _SECONDS)
        return "registry" if digest else refusal

    with ThreadPoolExecutor(len(images)) as pool:
        return dict(zip(images, pool.map(where, images), strict=True))


def report(facts: DoctorFacts) -> Diagnosis:
    """What the facts mean."""
    return Diagnosis(
        (
            *_engine(facts.engine),
            *_platforms(facts.engine, facts.platforms),
            *_merged(facts.merged),
            *_externals(facts),
            *_images(facts),
            DoctorRow("uv", "ok", facts.uv),
            _disk(facts.here.disk_free),
            *_packages(facts.here, facts.missing_folders),
        )
    )


def _engine(engine: DockerEngine | Absent) -> Iterator[DoctorRow]:
    if isinstance(engine, Absent):
        yield DoctorRow("engine", "fail", engine.found, remedy(engine))
        return
    yield DoctorRow("engine", "ok", f"Docker {engine.version} at {engine.endpoint}")
    if engine.store == "containerd":
        yield DoctorRow("image store", "ok", "containerd")
    else:
        yield DoctorRow(
            "image store",
            "warn",
            "graph driver: bakes the same layers, but copies each again after a change below it;"
            " compressed sizes stay unmeasured and the cache cannot be exported",
            'Docker takes the other store with {"features": {"containerd-snapshotter": true}} in'
            " daemon.json",
        )
    yield DoctorRow("buildx", "ok", version_text(engine.buildx))
    version = version_text(engine.compose) if engine.compose else "not installed"
    if (engine.compose or ()) < COMPOSE_FLOOR:
        needs = f"{version}: `up`, `run` and `logs` need {version_text(COMPOSE_FLOOR)} or newer"
        yield DoctorRow("compose", "warn", needs, INSTALL)
    else:
        yield DoctorRow("compose", "ok", version)
    if engine.builder == "docker":
        yield DoctorRow("builder", "ok", "docker")
    else:
        yield DoctorRow(
            "builder",
            "warn",
            f"{engine.builder}: sees none of the engine's images",
            "use the engine's own where no registry can be reached: --builder default",
        )


def _platforms(engine: DockerEngine | Absent, wanted: tuple[str, ...]) -> Iterator[DoctorRow]:
    if isinstance(engine, Absent) or not wanted:
        return
    names = ", ".join(wanted)
    if reason := not_run(engine, wanted):
        yield DoctorRow("platforms", "fail", *reason)
    elif engine.platform not in wanted:
        yield DoctorRow(
            "platforms",
            "warn",
            f"{names}: emulated on {engine.platform}, so builds and checks take several times as"
            " long",
            f"add {engine.platform} to `platforms:` in services.yaml, then run `slimbake lock`",
        )
    else:
        yield DoctorRow("platforms", "ok", names)


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
    """The images that are not built here: Python's, uv's, those of `externals`."""
    for external, answer in facts.externals:
        check = f"external {external.name}"
        if answer in _PLACES:
            yield DoctorRow(check, "ok", f"{external.reference}, in the {answer}")
        elif isinstance(facts.engine, Absent):
            yield DoctorRow(
                check, "warn", f"{external.reference}: not looked for, without an engine"
            )
        else:
            yield DoctorRow(
                check,
                "fail",
                f"{external.reference} {answer}",
                "make its registry reachable, or bring the image in: docker load",
            )


def _images(facts: DoctorFacts) -> Iterator[DoctorRow]:
    """What starts need of the repository's own compose file."""
    if facts.unreadable:
        yield DoctorRow(
            "start: with", "fail", f"Compose cannot read the compose file: {facts.unreadable}"
        )
    for neighbour, answer in facts.beside:
        check, who = f"image {neighbour.image}", f"{', '.join(neighbour.needed_by)} start with it"
        if answer in _PLACES:
            yield DoctorRow(check, "ok", f"in the {answer}; {who} ({neighbour.place})")
        elif isinstance(facts.engine, DockerEngine):
            line = f"not in the engine, and {answer}; {who} ({neighbour.place})"
            yield DoctorRow(check, "warn", line, how_to_get((neighbour.image,)))


def _disk(free: int) -> DoctorRow:
    room = f"{free / 1e9:.1f} GB free where Docker keeps its data"
    if free < _DISK_FAIL:
        return DoctorRow(
            "disk", "fail", room, "free some space: slimbake prune, docker system prune"
        )
    if free < _DISK_WARN:
        return DoctorRow(
            "disk",
            "warn",
            room,
            "a cold bake of an ML fleet may need 8 GB: slimbake prune, docker system prune",
        )
    return DoctorRow("disk", "ok", room)


def _packages(here: Machine, missing: tuple[str, ...]) -> Iterator[DoctorRow]:
    packages = here.packages
    indexes = [without_credentials(url) for url in (packages.index_url, *packages.extra_index_urls)]
    if packages.no_index:
        indexes = ["none (no-index)"]
    elif not packages.index_url:
        indexes[0] = "the installer's own"
    yield DoctorRow("package index", "ok", ", ".join(indexes))
    if missing:
        yield DoctorRow(
            "find-links",
            "warn",
            f"no such folder: {', '.join(missing)}",
            "fix PIP_FIND_LINKS, UV_FIND_LINKS or pip.conf",
        )
    else:
        links = ", ".join(map(without_credentials, packages.find_links))
        yield DoctorRow("find-links", "ok", links or "none")
    yield DoctorRow("CA bundle", "ok", str(here.ca_bundle or "the system's own"))
    yield DoctorRow("proxies", "ok", ", ".join(name for name, _ in here.proxies) or "none")


def version_text(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))
