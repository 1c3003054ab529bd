"""What is wrong with `torch`, `inference` and `precision`: which engine runs a model, and how.

Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from slimbake.config.axes import copied_bases
from slimbake.config.document import KeyPath
from slimbake.config.model import BaseEntry, Manifest
from slimbake.config.naming import EXPORT, ONNX, derived
from slimbake.config.report import ProblemReport
from slimbake.config.specs import name_of

Raw = dict[str, Any]

_STAY = "or stay on torch: remove `inference`"


class _Asked(NamedTuple):
    """A service or a variant of one that runs on ONNX Runtime, and the key that says so."""

    service: str
    path: KeyPath


def inference(raw: Raw, report: ProblemReport) -> None:
    """Report exports that lack what they are made from, names that are taken, and settings that say
    nothing.
    """
    exports = list(_asked(raw))
    for export in exports:
        service: Raw = raw["services"][export.service]
        if not service.get("weights"):
            hint = (
                f"say where its model is: weights: {{package: NAME}} or {{path: FOLDER}}\n{_STAY}"
            )
            report.value(
                export.path, "'onnx' exports a model, and this service has no weights", hint
            )
        if "base" not in service:
            hint = f"require torch in a base, and let the service use it\n{_STAY}"
            report.value(
                export.path,
                "'onnx' is exported on a base that requires torch, and there is no base",
                hint,
            )
    _taken(raw, exports, report)


def _asked(raw: Raw) -> Iterator[_Asked]:
    for name, service in raw.get("services", {}).items():
        at: KeyPath = ("services", name)
        variants: Raw = service.get("variants", {})
        silent = [variant for variant, entry in variants.items() if "inference" not in entry]
        if service.get("inference") == ONNX and (silent or not variants):
            yield _Asked(name, (*at, "inference"))
        for variant, settings in variants.items():
            if settings.get("inference") == ONNX:
                yield _Asked(name, (*at, "variants", variant, "inference"))


def _taken(raw: Raw, exports: list[_Asked], report: ProblemReport) -> None:
    """Report names of the bases that are derived. What is written as `ml-onnx` is meant to be that
    base.
    """
    bases: Raw = raw.get("bases", {})
    copied = set(copied_bases(raw))
    for base in dict.fromkeys(raw["services"][export.service].get("base") for export in exports):
        if base not in bases:
            continue
        if (name := derived(base, EXPORT)) in bases:
            message = f"'{name}' is the base on which slimbake exports the models of bases.{base}"
            report.key(("bases", name), message, "give it another name")
        for end in (ONNX, EXPORT):
            if derived(base, end) in copied:
                message = f"slimbake makes a base '{derived(base, end)}', as is a variant of this"
                report.key(("bases", base), message, "give this variant another name")


def without_export(manifest: Manifest, report: ProblemReport) -> None:
    """Report services whose model is to be exported, and whose base does not require torch itself."""
    bases = {base.name: base for base in manifest.bases}
    for service in manifest.services:
        base = bases.get(service.base or "")
        runs = (service.inference, *(variant.inference for variant in service.variants))
        if ONNX in runs and base and not _exports(base):
            message = (
                f"'{base.name}' does not require torch, with which the model of this service is"
                " exported"
            )
            hint = f"add torch to its requirements, or use a base that has it\n{_STAY}"
            report.value(("services", service.name, "base"), message, hint)


def _exports(base: BaseEntry) -> bool:
    """Whether a base, or a variant of it, asks for torch by its name."""
    specs = [*base.requirements.specs]
    for variant in base.variants:
        specs += variant.requirements.specs
    return "torch" in map(name_of, specs)
