"""What scanners find in images, and which of it stops a release. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from packageurl import PackageURL

from slimbake.config.model import Gate, Scan, VexProduct, VexStatement

Severity = Literal["critical", "high", "medium", "low", "negligible", "unknown"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "negligible", "unknown")
_IMAGES = ("oci", "docker")  # types of package URLs
_SUPPRESSING = ("not_affected", "fixed")

Files = Mapping[str, Sequence[int]]
"""Type and name of a package URL -> how many of its files are warm, cold and gone."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A vulnerability in a package of an image."""

    name: str  # CVE-2026-12345, GHSA-34jh-p97f-mpxf
    package: str
    version: str
    severity: Severity
    purl: str = ""  # "": the scanner gives none
    fixed: str = ""  # the versions that have a fix
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """What statements of OpenVEX may call an image by."""

    name: str  # its repository, without the registry
    digest: str  # "": not known before it is pushed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is found in an image, parted by a gate."""

    over: tuple[Finding, ...]  # at or above the gate
    below: tuple[Finding, ...]
    suppressed: tuple[Finding, ...]  # by OpenVEX


def read_grype(report: str) -> tuple[Finding, ...]:
    """What grype found, as `-o json` prints it. Raises ValueError, KeyError, TypeError or
    AttributeError for anything else.
    """
    said = json.loads(report)
    if said["descriptor"]["name"] != "grype":
        raise ValueError("no report of grype")
    return tuple(sorted(set(map(_of_grype, said["matches"]))))


def _of_grype(match: Mapping[str, Any]) -> Finding:
    found, package = match["vulnerability"], match["artifact"]
    return Finding(
        name=str(found["id"]),
        package=str(package["name"]),
        version=str(package["version"]),
        severity=_severity(found.get("severity")),
        purl=_valid(package.get("purl")),
        fixed=", ".join((found.get("fix") or {}).get("versions") or ()),
        aliases=tuple(sorted({each["id"] for each in match.get("relatedVulnerabilities") or ()})),
    )


def read_trivy(report: str) -> tuple[Finding, ...]:
    """What trivy found, as `--format json` prints it. Raises as `read_grype` does."""
    said = json.loads(report)
    if said["SchemaVersion"] != 2:
        raise ValueError("another schema")
    return tuple(sorted(set(_of_trivy(said.get("Results") or ()))))


def _of_trivy(results: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for result in results:
        for found in result.get("Vulnerabilities") or ():
            yield Finding(
                name=str(found["VulnerabilityID"]),
                package=str(found["PkgName"]),
                version=str(found["InstalledVersion"]),
                severity=_severity(found.get("Severity")),
                purl=_valid((found.get("PkgIdentifier") or {}).get("PURL")),
                fixed=str(found.get("FixedVersion") or ""),
                aliases=tuple(sorted(found.get("VendorIDs") or ())),
            )


def _valid(purl: str | None) -> str:
    """A package URL that can be read; "" where there is none."""
    return PackageURL.from_string(purl).to_string() if purl else ""


def _severity(said: object) -> Severity:
    """A severity as we call it; one that nobody knows of is unknown."""
    return next((each for each in SEVERITIES if each == str(said).lower()), "unknown")


def judged(found: Sequence[Finding], scan: Scan, image: ScannedImage) -> Verdict:
    """Part what was found in an image: what stops a release, what does not, what people answered
    for.
    """
    suppressed = tuple(each for each in found if _suppressed(each, scan.statements, image))
    left = [each for each in found if each not in suppressed]
    stopping = _from(scan.gate)
    return Verdict(
        over=tuple(sorted((each for each in left if each.severity in stopping), key=_rank)),
        below=tuple(each for each in left if each.severity not in stopping),
        suppressed=suppressed,
    )


def _from(gate: Gate) -> tuple[Severity, ...]:
    return SEVERITIES[: SEVERITIES.index(gate) + 1]


def _rank(finding: Finding) -> tuple[int, Finding]:
    return SEVERITIES.index(finding.severity), finding


def _suppressed(finding: Finding, statements: Sequence[VexStatement], image: ScannedImage) -> bool:
    """Whether the latest statement about it says that it does no harm."""
    names = {finding.name, *finding.aliases}
    about = [
        each
        for each in statements
        if names & each.names
        if any(_concerns(product, finding, image) for product in each.products)
    ]
    # of several at one time, the last in the file
    latest = max(enumerate(about), key=lambda one: (one[1].time, one[0]), default=None)
    return latest is not None and latest[1].status in _SUPPRESSING


def _concerns(product: VexProduct, finding: Finding, image: ScannedImage) -> bool:
    """Whether a statement about a product is about this finding in this image."""
    if _is_image(product.purl, image):
        parts = product.subcomponents
        return not parts or any(_is(part, finding.purl) for part in parts)
    return _is(product.purl, finding.purl)


def _is(said: str, found: str) -> bool:
    """Whether a package URL that a statement has stands for one that was found: what it leaves out
    may be anything.
    """
    if not found:
        return False
    one, other = PackageURL.from_string(said), PackageURL.from_string(found)
    qualifiers = dict(one.qualifiers or {})
    return (
        (one.type, one.namespace, one.name) == (other.type, other.namespace, other.name)
        and one.version in (None, other.version)
        and qualifiers.items() <= dict(other.qualifiers or {}).items()
    )


def _is_image(said: str, image: ScannedImage) -> bool:
    purl = PackageURL.from_string(said)
    return purl.type in _IMAGES and purl.name == image.name and purl.version in (None, image.digest)


def finding_words(finding: Finding, files: Files) -> str:
    """A finding in one line, with where the package's files are in the image, if that is known."""
    names = f"{finding.name} ({', '.join(finding.aliases)})" if finding.aliases else finding.name
    fix = f"fixed in {finding.fixed}" if finding.fixed else "no fix"
    words = f"{finding.severity} {names}: {finding.package} {finding.version}, {fix}"
    if counts := files.get(_package(finding.purl)):
        fates = zip(counts, ("warm", "cold", "gone"), strict=True)
        there = ", ".join(f"{count:,} {fate}" for count, fate in fates if count)
        words += f"; files: {there or 'none'}"
    return words


def _package(purl: str) -> str:
    """Under which name the image counts the files of a package."""
    if not purl:
        return ""
    parsed = PackageURL.from_string(purl)
    return f"{parsed.type}/{parsed.name}"


def counted(findings: Sequence[Finding]) -> str:
    """How many of each severity: `2 medium, 1 low`."""
    counts = Counter(each.severity for each in findings)
    return ", ".join(f"{counts[each]} {each}" for each in SEVERITIES if counts[each])


def upgradable(findings: Sequence[Finding]) -> tuple[str, ...]:
    """The Python packages of which a newer version has a fix."""
    names = {
        _package(each.purl).removeprefix("pypi/")
        for each in findings
        if each.fixed and each.purl.startswith("pkg:pypi/")
    }
    return tuple(sorted(names))
