"""OpenVEX that people write: which vulnerabilities do not affect their images, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packageurl import PackageURL

from slimbake.config.document import KeyPath
from slimbake.config.model import VexProduct, VexStatement
from slimbake.config.report import ProblemReport
from slimbake.config.structure import structure

Raw = dict[str, Any]

_SCHEMA = Path(__file__).with_name("openvex.schema.json")
_PURL = "name it by its package URL, such as pkg:pypi/urllib3@2.0.1 or pkg:oci/IMAGE"


def vex_statements(path: Path) -> tuple[VexStatement, ...]:
    """The statements of an OpenVEX file. Raises ManifestError with every problem of it, each with
    its place.
    """
    raw, report = structure(
        path, _SCHEMA, 'it begins with: {"@context": "https://openvex.dev/ns/v0.2.0",'
    )
    issued = _time(raw, (), report)
    found = [
        _statement(each, ("statements", index), issued, report)
        for index, each in enumerate(raw.get("statements", ()))
        if isinstance(each, dict)
    ]
    report.stop()
    return tuple(found)


def _statement(raw: Raw, at: KeyPath, issued: datetime, report: ProblemReport) -> VexStatement:
    status = raw.get("status", "affected")
    if status == "not_affected" and not {"justification", "impact_statement"} & raw.keys():
        report.key(
            at,
            "'not_affected' needs a reason",
            "add `justification`, such as vulnerable_code_not_in_execute_path, or"
            " `impact_statement` in words",
        )
    if status == "affected" and "status" in raw and "action_statement" not in raw:
        report.key(at, "'affected' needs an action", "add `action_statement`: what to do about it")
    vulnerability = raw.get("vulnerability", {})
    return VexStatement(
        names=frozenset((vulnerability.get("name", ""), *vulnerability.get("aliases", ()))),
        products=tuple(_products(raw, at, report)),
        status=status,
        time=_time(raw, at, report) if "timestamp" in raw else issued,
    )


def _products(raw: Raw, at: KeyPath, report: ProblemReport) -> Iterator[VexProduct]:
    for index, product in enumerate(raw.get("products", ())):
        here: KeyPath = (*at, "products", index)
        if isinstance(product, dict):
            parts = [
                _purl(part, (*here, "subcomponents", number), report)
                for number, part in enumerate(product.get("subcomponents", ()))
                if isinstance(part, dict)
            ]
            yield VexProduct(_purl(product, here, report), tuple(parts))


def _purl(raw: Raw, at: KeyPath, report: ProblemReport) -> str:
    """The package URL of a component: what finds it in an image."""
    identifiers = raw.get("identifiers", {})
    key: KeyPath = (*at, "identifiers", "purl") if "purl" in identifiers else (*at, "@id")
    purl = str(identifiers.get("purl") or raw.get("@id", ""))
    try:
        PackageURL.from_string(purl)
    except ValueError:
        if purl:
            report.value(key, f"'{purl}' is no package URL", _PURL)
        else:
            report.key(at, "it has no package URL", _PURL)
    return purl


def _time(raw: Raw, at: KeyPath, report: ProblemReport) -> datetime:
    text = raw.get("timestamp", "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        if text:
            hint = "a date and a time, such as 2026-11-27T12:00:00Z"
            report.value((*at, "timestamp"), f"'{text}' is no time", hint)
        found = datetime.min
    return found if found.tzinfo else found.replace(tzinfo=UTC)
