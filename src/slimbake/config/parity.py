"""What is wrong with `parity` of services and their variants. Nothing here reads a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slimbake.config.document import KeyPath
from slimbake.config.report import ProblemReport
from slimbake.config.words import Word

Raw = dict[str, Any]

LIMITS = ("min-cosine", "mean-cosine", "top10", "tokens", "perplexity", "logprobs")
_FILES = {
    "check": "a Python file in the context that asks the service's code, such as parity.py",
    "texts": "a file with the texts that it is measured on, relative to the manifest",
}


def parity(raw: Raw, report: ProblemReport) -> None:
    """Report parities where nothing is compared, and those that lack a file."""
    for name, service in raw.get("services", {}).items():
        at: KeyPath = ("services", name)
        runs = dict(_runs(service, at))
        entries: dict[KeyPath, Raw] = {at: service}
        for variant, entry in service.get("variants", {}).items():
            entries[*at, "variants", variant] = entry
        for path, entry in entries.items():
            if path in runs or (path == at and runs):
                continue
            for key in ("parity", "precision"):
                if key in entry:
                    message = f"`{key}` is that of an exported model, and nothing here is exported"
                    report.key((*path, key), message, "add `inference: onnx`, or remove this key")
        for path, whole in runs.items():
            owner = path if "parity" in entries[path] else at
            if "parity" not in entries[owner]:
                continue
            for key, hint in _FILES.items():
                refused = any(report.has_value((*place, "parity", key)) for place in (path, at))
                if key not in whole and not refused:
                    report.key((*owner, "parity"), f"the key '{key}' is missing", hint)


def _runs(service: Raw, at: KeyPath) -> Iterator[tuple[KeyPath, Raw]]:
    """Where a service's model runs on ONNX Runtime, and all that is said of its parity there."""
    shared: Raw = service.get("parity", {})
    variants: Raw = service.get("variants", {})
    if service.get("inference") == "onnx" and not variants:
        yield at, shared
    for name, variant in variants.items():
        if variant.get("inference", service.get("inference")) == "onnx":
            yield (*at, "variants", name), {**shared, **variant.get("parity", {})}


def written_limits(settings: Raw) -> tuple[tuple[str, float], ...]:
    """The limits that are written."""
    limits = []
    for key in LIMITS:
        if key in settings:
            number = settings[key]
            limits.append((key, float(number.text if isinstance(number, Word) else number)))
    return tuple(limits)
