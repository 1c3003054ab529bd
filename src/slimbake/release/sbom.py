"""The SBOM of an image: what its locks say of what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from slimbake import docker
from slimbake.config.naming import LOCKS
from slimbake.errors import SetupError
from slimbake.host.files import content
from slimbake.inside import debs, from_stdin, with_check_pyz
from slimbake.lock.text import parse_pins
from slimbake.plan.model import Plan
from slimbake.plan.origin import LOCK, exports, locks
from slimbake.release.sbom_model import (
    DebianPackage,
    Locked,
    SbomLocks,
    WeightsFolder,
    parse_contents,
)

MEDIA_TYPE = "application/vnd.cyclonedx+json"


def file_name(service: str) -> str:
    """The file of a service's SBOM, as others call such files."""
    return f"{service}.cdx.json"


def sbom(plan: Plan, service: str, image: str, root: Path, platform: str = "") -> str:
    """The SBOM of a service's image that the engine holds, as CycloneDX JSON.

    `image`: its id or a name; `platform`: `linux/arm64`, of an image for several. Versions and
    hashes are the locks', and what is in the image at all is asked of its own Python, which needs
    about half a second. Raises SetupError where the image cannot be run, or was made from other
    locks than those in `root`.
    """
    from slimbake.release.sbom_document import document  # the library costs 0.15 s

    names = locks(plan, service)
    missing = [name for name in names if not (root / LOCKS / name).is_file()]
    if missing:
        raise SetupError(f"there is no lock: {', '.join(missing)}", "`slimbake lock` makes it")
    digest = dict(plan.target(service).labels).get(LOCK, "")
    if docker.engine_image(image).labels.get(LOCK, "") != digest:
        raise SetupError(
            f"the image of {service} was made from other locks",
            f"`slimbake bake {service}` writes it again",
        )
    options = ["--network=none", "--read-only", "--cap-drop=ALL", "--user=65532:65532"]
    if platform:
        options.append(f"--platform={platform}")
    output = docker.container_output(
        *options,
        "--entrypoint=/opt/slimbake/bin/python",
        image,
        *from_stdin("contents", site=True),
        stdin=with_check_pyz(),
    )
    texts = {name: content(root, f"{LOCKS}/{name}").decode() for name in names}
    contents = parse_contents(output)
    locked = read_sbom_locks(texts, contents.machine, exports(plan, service))
    return document(plan.project, service, contents, locked, digest)


# Lock files as what an SBOM says of them: packages, Debian packages, files of weights.

_FILE = re.compile(r"^([0-9a-f]{64})  (.+)$", re.MULTILINE)  # as sha256sum writes it


def read_sbom_locks(
    texts: Mapping[str, str], machine: str, exports: Mapping[str, str] = {}
) -> SbomLocks:
    """What lock files hold for a kind of machine; `texts`: a file's name -> its text; `exports`: ->
    the form that its weights are in.
    """
    packages: list[Locked] = []
    debian: dict[DebianPackage, str] = {}
    folders: list[WeightsFolder] = []
    for name, text in texts.items():
        lock = name.removesuffix(".txt")
        if lock.endswith(".system"):
            for deb in debs.parse_debs(text):
                debian[DebianPackage(deb.name, deb.version, deb.arch)] = deb.sha256
            continue
        form = exports.get(name, "")
        weights = lock.startswith("weights-")
        files = _FILE.findall(text) if weights else []
        if files:
            rows = tuple((path, digest) for digest, path in files)
            folders.append(WeightsFolder(lock.removeprefix("weights-"), rows, form))
            continue
        for pin in parse_pins(text):
            if pin.machines and machine not in pin.machines:
                continue
            wheels = [wheel for wheel in pin.wheels if wheel.runs_on(machine)]
            hashes = tuple(wheel.sha256 for wheel in wheels if wheel.sha256)
            packages.append(Locked(pin.name, pin.version, hashes, lock, weights, form))
    return SbomLocks(tuple(packages), debian, tuple(folders))
