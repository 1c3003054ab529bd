"""What is wrong with `torch`, `inference` and `precision`: which engine runs a model, and how.

Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from slimbake.config.axes import copied_bases
from slimbake.config.document import KeyPath
from slimbake.config.model import BaseEntry, Manifest, Requirements, ServiceEntry
from slimbake.config.naming import EXPORT, ONNX, derived
from slimbake.config.report import ProblemReport
from slimbake.config.specs import name_of
from slimbake.inside.model_task import UnsupportedModelError

Raw = dict[str, Any]

_STAY = "or stay on torch: remove `inference`"
_OF_INT8 = ("per-channel", "reduce-range", "mode", "calibration")


class _Asked(NamedTuple):
    """A service or a variant of one that runs on ONNX Runtime, and the key that says so."""

    service: str
    path: KeyPath


def inference(raw: Raw, report: ProblemReport) -> None:
    """Report exports that lack what they are made from, names that are taken, and settings that say
    nothing.
    """
    asked = list(_asked(raw))
    for each in asked:
        service: Raw = raw["services"][each.service]
        if not service.get("weights"):
            hint = (
                f"say where its model is: weights: {{package: NAME}} or {{path: FOLDER}}\n{_STAY}"
            )
            report.value(each.path, "'onnx' exports a model, and this service has no weights", hint)
        if "base" not in service:
            hint = f"require torch in a base, and let the service use it\n{_STAY}"
            report.value(
                each.path,
                "'onnx' is exported on a base that requires torch, and there is no base",
                hint,
            )
        if "torch" in _said(raw, each):
            message = "'onnx' runs without torch, and `torch` chooses a build of it"
            report.value(
                each.path, message, "remove `torch` here: the model is exported with the base's own"
            )
    _taken(raw, asked, report)
    for name, service in raw.get("services", {}).items():
        runs = [each.path for each in asked if each.service == name]
        at: KeyPath = ("services", name)
        _precision(service, at, bool(runs), report)
        for variant, said in service.get("variants", {}).items():
            own = said.get("inference", service.get("inference")) == ONNX
            _precision(said, (*at, "variants", variant), own, report)


def exporting(raw: Raw) -> frozenset[str]:
    """The services whose model is exported, in one variant at least."""
    return frozenset(each.service for each in _asked(raw))


def unsupported(path: KeyPath, error: UnsupportedModelError, report: ProblemReport) -> None:
    """Report weights that cannot be exported as `inference: onnx` wants it."""
    hint = f"{error.fix}\n{_STAY}" if error.fix else _STAY.removeprefix("or ")
    report.value(path, f"'onnx' cannot run this model: {error.message}", hint)


def _said(raw: Raw, asked: _Asked) -> Raw:
    """The variant that an export is asked for in; nothing of a service as a whole."""
    variants: Raw = raw["services"][asked.service].get("variants", {})
    found: Raw = variants[str(asked.path[3])] if len(asked.path) > 4 else {}
    return found


def _asked(raw: Raw) -> Iterator[_Asked]:
    for name, service in raw.get("services", {}).items():
        at: KeyPath = ("services", name)
        variants: Raw = service.get("variants", {})
        silent = [variant for variant, said in variants.items() if "inference" not in said]
        if service.get("inference") == ONNX and (silent or not variants):
            yield _Asked(name, (*at, "inference"))
        for variant, said in variants.items():
            if said.get("inference") == ONNX:
                yield _Asked(name, (*at, "variants", variant, "inference"))


def _taken(raw: Raw, asked: list[_Asked], report: ProblemReport) -> None:
    """Report names of the bases that are derived. What is written as `ml-onnx` is meant to be that
    base.
    """
    bases: Raw = raw.get("bases", {})
    copied = set(copied_bases(raw))
    for base in dict.fromkeys(raw["services"][each.service].get("base") for each in asked):
        if base not in bases:
            continue
        if (name := derived(base, EXPORT)) in bases:
            message = f"'{name}' is the base on which slimbake exports the models of bases.{base}"
            report.key(("bases", name), message, "give it another name")
        for end in (ONNX, EXPORT):
            message = (
                f"a base for its variant '{end}' is called '{derived(base, end)}', as is one that"
                " slimbake makes"
            )
            if derived(base, end) in copied:
                report.key(("bases", base), message, "give this variant another name")
            for service, said in raw["services"].items():
                if said.get("base") == base and "torch" in said.get("variants", {}).get(end, {}):
                    report.key(
                        ("services", service, "variants", end),
                        message,
                        "give this variant another name",
                    )


def _precision(said: Raw, at: KeyPath, runs: bool, report: ProblemReport) -> None:
    if "precision" not in said:
        return
    precision = said["precision"]
    if not runs:
        message = "`precision` is that of an exported model, and nothing here is exported"
        report.key((*at, "precision"), message, "add `inference: onnx`, or remove this key")
    if not isinstance(precision, dict) or "type" not in precision:
        return
    kind, path = precision["type"], (*at, "precision")
    for key in (*(_OF_INT8 if kind != "int8" else ()), *(("exclude",) if kind == "fp32" else ())):
        if key in precision:
            report.key(
                (*path, key), f"{kind} has no such setting", "remove it, or choose `type: int8`"
            )
    if kind != "int8":
        return
    if precision.get("mode", "weights") == "weights":
        for key in ("per-channel", "reduce-range"):
            if key in precision:
                report.key(
                    (*path, key),
                    "`mode: weights` has no such setting",
                    "remove it, or choose `mode: dynamic`",
                )
    static = precision.get("mode") == "static"
    if static and "calibration" not in precision:
        hint = (
            "name a file with a text on each line: calibration: FILE\nor choose `mode: dynamic`,"
            " which needs none"
        )
        report.value(
            (*path, "mode"),
            "'static' scales activations as texts had them, and there are none",
            hint,
        )
    if not static and "calibration" in precision:
        report.key(
            (*path, "calibration"),
            "only static int8 looks at texts",
            "add `mode: static`, or remove it",
        )


def without_torch(manifest: Manifest, report: ProblemReport) -> None:
    """Report a base, service or variant that chooses a build of torch and asks for nothing that could
    need torch. What does need it is known when it is locked.

    A variant may leave it to what it stands on.
    """
    bases = {base.name: base for base in manifest.bases}
    entries: tuple[BaseEntry | ServiceEntry, ...] = (*manifest.bases, *manifest.services)
    for entry in entries:
        kind, parent = (
            ("base", entry.extends) if isinstance(entry, BaseEntry) else ("service", entry.base)
        )
        path = (f"{kind}s", entry.name)
        own = entry.torch if isinstance(entry, BaseEntry) else None
        if own and not _requires_something(entry.requirements):
            _no_torch((*path, "torch"), own, kind, report)
        below = [base.requirements for base in _chain(parent, bases)]
        for variant in entry.variants:
            needs = (*below, entry.requirements, variant.requirements)
            if variant.torch and not _requires_something(*needs):
                _no_torch((*path, "variants", variant.name, "torch"), variant.torch, kind, report)


def _no_torch(path: KeyPath, build: str, kind: str, report: ProblemReport) -> None:
    message = f"'{build}' chooses a build of torch, and torch is none of this {kind}'s requirements"
    report.value(path, message, "add torch to its requirements, or remove this key")


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
            hint = f"{_elsewhere(base, bases)}\n{_STAY}"
            report.value(("services", service.name, "base"), message, hint)


def _elsewhere(base: BaseEntry, bases: Mapping[str, BaseEntry]) -> str:
    """A hint to a base that models are exported on."""
    for below in _chain(base.extends, bases):
        if _exports(below):
            return f"use '{below.name}', and require here what is between them"
    able = [name for name, each in bases.items() if _exports(each)]
    return f"bases that do: {', '.join(able)}" if able else "add torch to its requirements"


def _chain(name: str | None, bases: Mapping[str, BaseEntry]) -> Iterator[BaseEntry]:
    """The base of that name, and those that it stands on, the nearest first."""
    seen: set[str] = set()  # a circle has been reported
    while (base := bases.get(name or "")) and base.name not in seen:
        seen.add(base.name)
        yield base
        name = base.extends


def _exports(base: BaseEntry) -> bool:
    return _requires_torch(base.requirements, *(each.requirements for each in base.variants))


def _requires_something(*requirements: Requirements) -> bool:
    return any(each.specs or each.packages for each in requirements)


def _requires_torch(*requirements: Requirements) -> bool:
    """Whether torch is asked for by its name."""
    return any(name_of(spec) == "torch" for each in requirements for spec in each.specs)
