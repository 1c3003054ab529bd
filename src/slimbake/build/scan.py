"""Vulnerabilities: a scanner of this machine reads the SBOM of each image before its tag moves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from slimbake import docker
from slimbake.build.findings import (
    Files,
    Finding,
    ScannedImage,
    Verdict,
    counted,
    finding_words,
    judged,
    read_grype,
    read_trivy,
    upgradable,
)
from slimbake.build.on_registry import OnRegistry, attached_sboms
from slimbake.build.place import Built
from slimbake.build.publish import Documents
from slimbake.build.site import Site
from slimbake.config.model import Scan
from slimbake.errors import SetupError
from slimbake.host.process import execute
from slimbake.images import this_platform
from slimbake.inside import from_stdin, with_check_pyz
from slimbake.plan.origin import is_ours

_INSTALL = (
    "install grype (https://github.com/anchore/grype) or trivy (https://trivy.dev), so that it is"
    " on PATH; without --push, --no-scan leaves the scan out"
)
_SEVERITIES = "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL"
# A scan answers for this image alone: no news about the scanner itself.
_QUIET = {"GRYPE_CHECK_FOR_APP_UPDATE": "false", "TRIVY_SKIP_VERSION_CHECK": "true"}


@dataclass(frozen=True, slots=True)
class Scanner:
    """A program that finds vulnerabilities, and how it is asked."""

    name: str
    sbom: Callable[[str], tuple[str, ...]]  # the command for an SBOM, by its path
    archive: Callable[[str], tuple[str, ...]]  # for an image as `docker save` writes it
    read: Callable[[str], tuple[Finding, ...]]


_TRIVY = ("--format", "json", "--quiet", "--severity", _SEVERITIES, "--scanners", "vuln")
SCANNERS = (
    Scanner(
        "grype",
        lambda path: ("grype", f"sbom:{path}", "--output", "json", "--quiet"),
        lambda path: ("grype", f"docker-archive:{path}", "--output", "json", "--quiet"),
        read_grype,
    ),
    Scanner(
        "trivy",
        lambda path: ("trivy", "sbom", *_TRIVY, path),
        lambda path: ("trivy", "image", *_TRIVY, "--input", path),
        read_trivy,
    ),
)
"""In the order in which they are taken."""


@dataclass(frozen=True, slots=True)
class Scans:
    """What came of the scans of a release."""

    refused: Mapping[str, str]  # service -> what was found in its image, at or above the gate
    done: frozenset[str] = frozenset()  # the services whose images were scanned


@dataclass(frozen=True, slots=True)
class _Subject:
    """An image that is to be scanned."""

    service: str
    image: str  # what the engine calls it; "" = it is on a registry only
    digest: str  # "" = not known before it is pushed
    sboms: Mapping[str, str]  # platform -> text; none of a user's own Dockerfile


def find_scanner() -> Scanner:
    """The first scanner on PATH. Raises SetupError: a gate that cannot run lets nothing pass."""
    found = next((each for each in SCANNERS if shutil.which(each.name)), None)
    if found is None:
        raise SetupError("`scan:` is set, and neither grype nor trivy is on PATH", _INSTALL)
    return found


def scans(
    site: Site,
    scan: Scan,
    images: tuple[Built, ...],
    documents: Documents,
    held: tuple[OnRegistry, ...],
) -> Scans:
    """Scan the services among these images, and those that a registry holds.

    `documents`: the SBOMs of what was built; what a registry holds has its own attached. An image
    without one, of a user's own Dockerfile, is scanned as a whole. Raises SetupError where the
    scanner fails or cannot be understood, and RegistryError.
    """
    scanner = find_scanner()
    subjects = [
        _Subject(each.name, each.image, each.image, documents.get(each.name, {}))
        for each in images
        if site.plan.target(each.name).kind == "service"
    ]
    there = tuple(each for each in held if site.plan.target(each.target).kind == "service")
    attached = attached_sboms(there, site.around.ca_bundle)
    subjects += [_held(site, each, attached[each.target]) for each in there]

    def look(subject: _Subject) -> str:
        return _refusal(site, scan, scanner, subject)

    jobs = [(each.service, each) for each in subjects]
    with site.console.tracked("scan", (name for name, _ in jobs)) as work:
        # The first may bring the scanner's database up to date: the others wait for it.
        found = [
            *work.each(look, jobs[:1], 1),
            *work.each(look, jobs[1:], os.cpu_count() or 1),
        ]
    refused = {each.service: words for each, words in zip(subjects, found, strict=True) if words}
    return Scans(refused, frozenset(each.service for each in subjects))


def _held(site: Site, image: OnRegistry, attached: Mapping[str, str]) -> _Subject:
    pulled = ""
    if not attached:
        site.console.say(f"{image.target}: pulled, since no SBOM is attached to {image.reference}")
        pulled = docker.pull_image(image.reference, this_platform())
    return _Subject(image.target, pulled, image.digest, attached)


def _refusal(site: Site, scan: Scan, scanner: Scanner, subject: _Subject) -> str:
    """What keeps an image from its tag; "" where nothing does."""
    found = {
        each
        for platform, text in (subject.sboms or {"": ""}).items()
        for each in _found(scanner, subject, platform, text)
    }
    repository = site.plan.target(subject.service).repository.rpartition("/")[2]
    verdict = judged(sorted(found), scan, ScannedImage(repository, subject.digest))
    site.console.say(f"{scanner.name}: {subject.service}: {_line(verdict, scan)}")
    if not verdict.over:
        return ""
    files = _files(site, subject)
    lines = [f"{subject.service}: {finding_words(each, files)}" for each in verdict.over]
    if names := upgradable(verdict.over):
        lines.append(f"  `slimbake lock --upgrade --only {' '.join(names)}` takes newer versions")
    return "\n".join(lines)


def _line(verdict: Verdict, scan: Scan) -> str:
    """What was found in an image, counted."""
    parts = [f"{len(verdict.over) or 'none'} at or above {scan.gate}"]
    if verdict.below:
        parts.append(f"below it {counted(verdict.below)}")
    if verdict.suppressed:
        parts.append(f"{len(verdict.suppressed)} suppressed by {scan.ignore}")
    return ", ".join(parts)


def _found(scanner: Scanner, subject: _Subject, platform: str, text: str) -> tuple[Finding, ...]:
    """What a scanner finds in an SBOM; without one in the image as the engine holds it."""
    # In a folder of its own: no .trivyignore or .grype.yaml of a repository counts, OpenVEX does.
    with tempfile.TemporaryDirectory(prefix="slimbake-scan-") as folder:
        file = Path(folder, f"{subject.service}.{'cdx.json' if text else 'tar'}")
        if text:
            file.write_text(text, "utf-8")
        else:
            with docker.saved([subject.image]) as stream, file.open("wb") as out:
                shutil.copyfileobj(stream, out)
        command = scanner.sbom(file.name) if text else scanner.archive(file.name)
        done = execute(command, env=_QUIET, cwd=Path(folder))
    what = f"{subject.service} for {platform}" if platform else subject.service
    if not done.ok:
        raise SetupError(f"{scanner.name} could not scan {what}", done.last_lines())
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        return scanner.read(done.stdout)
    raise SetupError(
        f"{scanner.name} scanned {what}, and its report cannot be read",
        f"it begins with: {done.stdout[:200]!r}; a newer or older {scanner.name} may help",
    )


def _files(site: Site, subject: _Subject) -> Files:
    """Where the files of packages are in an image; {} where nobody counts them."""
    if not (subject.image and is_ours(site.plan.target(subject.service))):
        return {}
    said = docker.container_output(
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--user=65532:65532",
        "--entrypoint=/opt/slimbake/bin/python",
        subject.image,
        *from_stdin("files", site=True),
        stdin=with_check_pyz(),
    )
    counts: Files = json.loads(said)
    return counts
