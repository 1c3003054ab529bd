"""What is wrong with `parity`, and how a variant's goes together with its service's; nothing here
opens a file.
"""

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
        variants = {
            (*at, "variants", variant_name): variant
            for variant_name, variant in service.get("variants", {}).items()
        }
        for path, entry in {at: service, **variants}.items():
            for key in ("parity", "precision"):
                if key in entry and path not in runs and (path != at or not runs):
                    message = f"`{key}` is that of an exported model, and nothing here is exported"
                    report.key((*path, key), message, "add `inference: onnx`, or remove this key")
        for path, whole in runs.items():
            owner = path if "parity" in variants.get(path, {}) else at
            for key in _FILES if owner != at or "parity" in service else ():
                refused = any(report.has_value((*place, "parity", key)) for place in (path, at))
                if key not in whole and not refused:
                    report.key((*owner, "parity"), f"the key '{key}' is missing", _FILES[key])


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
    numbers = ((key, settings[key]) for key in LIMITS if key in settings)
    return tuple(
        (key, (n.number or 0.0) if isinstance(n, Word) else float(n)) for key, n in numbers
    )
