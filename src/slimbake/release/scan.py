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
from slimbake.release.sbom import file_name
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
    services = set(site.plan.service_names)
    subjects = {}
    for image in images:
        if image.name in services:
            sboms = documents.get(image.name, {})
            subjects[image.name] = _Subject(image.name, image.image, sboms)
    on_registry = [image for image in reused if image.target in services]
    attached = attached_sboms(on_registry, site.around.ca_bundle)
    for found in on_registry:
        subjects[found.target] = _on_registry(site, found, attached[found.target])

    look = partial(_refusal, site, scan)
    jobs = list(subjects.items())
    with site.console.tracked("scan", subjects) as work:
        # The first may bring the scanner's database up to date: the others wait for it.
        refusals = work.each(look, jobs[:1], 1)
        refusals += work.each(look, jobs[1:], os.cpu_count() or 1)
    refused = {}
    for name, refusal in zip(subjects, refusals, strict=True):
        if refusal:
            refused[name] = refusal
    return Scans(refused, frozenset(subjects))


def _on_registry(site: Site, image: OnRegistry, sboms: Mapping[str, str]) -> _Subject:
    pulled = ""
    if not sboms:
        site.console.say(f"{image.target}: pulled, since no SBOM is attached to {image.reference}")
        pulled = docker.pull_image(image.reference, site.engine.platform)
    return _Subject(image.target, pulled, sboms)


def _refusal(site: Site, scan: Scan, subject: _Subject) -> str:
    """What keeps an image from its tag: the output of a scanner that failed; "" where none did."""
    refused = []
    for platform, text in (subject.sboms or {"": ""}).items():
        title = subject.service
        if platform:
            title += f" for {platform}"
        code, output = _scanned(site.root, scan, subject, text)
        if code:
            site.console.say(f"{scan.scanner}: {title}: exit code {code}")
            refused.append(f"{title}: {scan.scanner} ended with {code}\n{output}".rstrip())
        else:
            site.console.say(f"{scan.scanner}: {title}: passed")
    return "\n".join(refused)


def _scanned(root: Path, scan: Scan, subject: _Subject, text: str) -> tuple[int, str]:
    """The exit code and the output of a scan of an SBOM; without one, of the engine's image."""
    with tempfile.TemporaryDirectory(prefix="slimbake-scan-") as folder:
        file = Path(folder, f"{subject.service}.tar")
        if text:
            file = Path(folder, file_name(subject.service))
            file.write_text(text, "utf-8")
        else:
            with docker.saved([subject.image]) as stream, file.open("wb") as out:
                shutil.copyfileobj(stream, out)
        done = execute(_command(scan, file, bool(text)), env=_QUIET, cwd=root)
    lines = f"{done.stdout}\n{done.stderr}".strip().splitlines()
    return done.code, "\n".join(f"  {line}" for line in lines[-_LINES:])


def _command(scan: Scan, file: Path, is_sbom: bool) -> tuple[str, ...]:
    if scan.scanner == "grype":
        kind = "sbom" if is_sbom else "docker-archive"
        return ("grype", f"{kind}:{file}", *scan.arguments)
    if is_sbom:
        return ("trivy", "sbom", *scan.arguments, str(file))
    return ("trivy", "image", *scan.arguments, "--input", str(file))
