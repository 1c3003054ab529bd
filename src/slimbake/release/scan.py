"""Vulnerabilities: a scanner of this machine reads the SBOM of each image before its tag moves."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from slimbake import docker
from slimbake.config.model import Scan
from slimbake.errors import SetupError
from slimbake.host.process import execute
from slimbake.release.on_registry import OnRegistry, attached_sboms
from slimbake.release.place import BuiltImage
from slimbake.release.publish import Documents
from slimbake.release.site import Site

_INSTALL = {
    "grype": "install grype (https://github.com/anchore/grype)",
    "trivy": "install trivy (https://trivy.dev)",
}
# A scan answers for this image alone: no news about the scanner itself.
_QUIET = {"GRYPE_CHECK_FOR_APP_UPDATE": "false", "TRIVY_SKIP_VERSION_CHECK": "true"}
_LINES = 60  # of a report that are shown


@dataclass(frozen=True, slots=True)
class Scans:
    """What came of the scans of a release."""

    refused: Mapping[str, str]  # service -> the report of the scanner that failed
    done: frozenset[str] = frozenset()  # the services whose images were scanned


@dataclass(frozen=True, slots=True)
class _Subject:
    """An image that is to be scanned."""

    service: str
    image: str  # what the engine calls it; "" = it is on a registry only
    sboms: Mapping[str, str]  # platform -> text; none of a user's own Dockerfile


def scanner_here(scan: Scan, *, required: bool) -> bool:
    """Whether the scanner is on PATH. Raises SetupError if it is not and is required: a gate that
    cannot run lets nothing pass.
    """
    installed = shutil.which(scan.scanner) is not None
    if required and not installed:
        raise SetupError(
            f"`scan:` is set, and {scan.scanner} is not on PATH", _INSTALL[scan.scanner]
        )
    return installed


def scans(
    site: Site,
    scan: Scan,
    images: tuple[BuiltImage, ...],
    documents: Documents,
    reused: tuple[OnRegistry, ...],
) -> Scans:
    """Scan the services among these images, and those that a registry holds.

    `documents`: the SBOMs of what was built; what a registry holds has its own attached. An image
    without one, of a user's own Dockerfile, is scanned as a whole. Raises RegistryError.
    """
    subjects = [
        _Subject(image.name, image.image, documents.get(image.name, {}))
        for image in images
        if site.plan.target(image.name).kind == "service"
    ]
    there = tuple(image for image in reused if site.plan.target(image.target).kind == "service")
    attached = attached_sboms(there, site.around.ca_bundle)
    subjects += [_held(site, image, attached[image.target]) for image in there]

    look = partial(_refusal, site, scan)
    jobs = [(subject.service, subject) for subject in subjects]
    with site.console.tracked("scan", (name for name, _ in jobs)) as work:
        # The first may bring the scanner's database up to date: the others wait for it.
        refusals = [
            *work.each(look, jobs[:1], 1),
            *work.each(look, jobs[1:], os.cpu_count() or 1),
        ]
    refused = {subject.service: why for subject, why in zip(subjects, refusals, strict=True) if why}
    return Scans(refused, frozenset(subject.service for subject in subjects))


def _held(site: Site, image: OnRegistry, attached: Mapping[str, str]) -> _Subject:
    pulled = ""
    if not attached:
        site.console.say(f"{image.target}: pulled, since no SBOM is attached to {image.reference}")
        pulled = docker.pull_image(image.reference, site.engine.platform)
    return _Subject(image.target, pulled, attached)


def _refusal(site: Site, scan: Scan, subject: _Subject) -> str:
    """What keeps an image from its tag: the output of a scanner that failed; "" where none did."""
    refused = []
    for platform, text in (subject.sboms or {"": ""}).items():
        what = f"{subject.service} for {platform}" if platform else subject.service
        code, output = _scanned(site.root, scan, subject, text)
        site.console.say(f"{scan.scanner}: {what}: {'passed' if not code else f'exit code {code}'}")
        if code:
            refused.append(f"{what}: {scan.scanner} ended with {code}\n{output}".rstrip())
    return "\n".join(refused)


def _scanned(root: Path, scan: Scan, subject: _Subject, text: str) -> tuple[int, str]:
    """The exit code and the output of a scan of an SBOM; without one, of the engine's image."""
    with tempfile.TemporaryDirectory(prefix="slimbake-scan-") as folder:
        file = Path(folder, f"{subject.service}.{'cdx.json' if text else 'tar'}")
        if text:
            file.write_text(text, "utf-8")
        else:
            with docker.saved([subject.image]) as stream, file.open("wb") as out:
                shutil.copyfileobj(stream, out)
        done = execute(_command(scan, file, bool(text)), env=_QUIET, cwd=root)
    lines = f"{done.stdout}\n{done.stderr}".strip().splitlines()
    return done.code, "\n".join(f"  {line}" for line in lines[-_LINES:])


def _command(scan: Scan, file: Path, is_sbom: bool) -> tuple[str, ...]:
    if scan.scanner == "grype":
        return ("grype", f"{'sbom' if is_sbom else 'docker-archive'}:{file}", *scan.arguments)
    if is_sbom:
        return ("trivy", "sbom", *scan.arguments, str(file))
    return ("trivy", "image", *scan.arguments, "--input", str(file))
