"""What the schema cannot say about passes; nothing here reads a file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from slimbake.catalogue.globs import fault, protected
from slimbake.config.document import KeyPath
from slimbake.config.report import ProblemReport, RefusedError, did_you_mean
from slimbake.config.specs import are_versions, lockable, normalised

Raw = dict[str, Any]

KINDS = ("remove", "drop", "strip", "uncompiled", "env", "setting")
_EXCEPTED = ("remove", "strip", "uncompiled")
_GLOBS = ("remove", "keep", "uncompiled")
_SHORT = "a sentence of one line; longer ones fold with '>-'"


def check_passes(raw: Raw, report: ProblemReport, *, shipped: bool = False) -> None:
    """Report every fault of passes whose structure is sound.

    `shipped`: slimbake's own, among which are some that try to remove metadata, in order to be
    refuted.
    """
    for name, entry in raw.get("passes", {}).items():
        at: KeyPath = ("passes", name)
        _texts(entry, at, report)
        _kind(entry, at, report)
        _guarantee(entry, at, report)
        _packages(entry, at, report)
        for key in _GLOBS:
            for index, glob in enumerate(entry.get(key, ())):
                if glob is None:  # refused by the schema
                    continue
                reported = fault(glob) or (
                    protected(glob) if key == "remove" and not shipped else None
                )
                if reported and glob.isprintable():
                    report.value((*at, key, index), *reported)


def _texts(entry: Raw, at: KeyPath, report: ProblemReport) -> None:
    for path, text in _all(entry, at):
        if not text.isprintable():
            found = next(each for each in text if not each.isprintable())
            name = "a line break" if found == "\n" else f"the control character U+{ord(found):04X}"
            report.value(
                path,
                f"{name} in a text",
                _SHORT if path[2] in ("about", "why", "costs") else "remove it",
            )


def _all(value: Any, at: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _all(each, (*at, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _all(each, (*at, index))


def _kind(entry: Raw, at: KeyPath, report: ProblemReport) -> None:
    # refused, but meant
    kinds = [kind for kind in KINDS if kind in entry or report.has_value((*at, kind))]
    if not kinds:
        report.key(at, "this pass does nothing", f"give it one of: {', '.join(KINDS)}")
    elif len(kinds) > 1 and kinds != ["remove", "drop"]:
        message = f"{' and '.join(f'`{kind}`' for kind in kinds)} in one pass"
        report.key(
            (*at, kinds[1]),
            message,
            "a pass does one thing, so that evidence is of one thing: make two of it",
        )
    if "keep" in entry and not any(kind in entry for kind in _EXCEPTED):
        message = "nothing to make an exception from"
        report.key(
            (*at, "keep"),
            message,
            f"`keep` goes with {', '.join(f'`{kind}`' for kind in _EXCEPTED)}",
        )


def _guarantee(entry: Raw, at: KeyPath, report: ProblemReport) -> None:
    said = entry.get("guarantee", "observed")
    if said == "lossless" and "remove" in entry:
        report.value(
            (*at, "guarantee"),
            "a pass that removes files loses them",
            "say 'narrowed' and name the feature under `costs`, or 'observed'",
        )
    if said == "narrowed" and "costs" not in entry and "setting" not in entry:
        report.value(
            (*at, "guarantee"), "nothing says which feature is gone", "name it under `costs`"
        )
    if "unusable" in entry and said != "narrowed":
        report.key(
            (*at, "unusable"), f"`unusable` of a pass that is {said}", "say `guarantee: narrowed`"
        )


def _packages(entry: Raw, at: KeyPath, report: ProblemReport) -> None:
    known: dict[str, str] = {}
    for name, specifier in entry.get("packages", {}).items():
        path = (*at, "packages", name)
        if report.has_key(path):
            continue
        other = known.setdefault(normalised(name), name)
        if other != name:
            report.key(path, f"'{other}' is the same package", "keep one of the two")
        _specifier(name, specifier, path, report)
    dropped = [normalised(name or "") for name in entry.get("drop", ())]
    for index, name in enumerate(dropped):
        if name and name in dropped[:index] and entry["drop"][index] not in entry["drop"][:index]:
            report.value(
                (*at, "drop", index),
                f"'{entry['drop'][index]}' stands here twice",
                "remove one of the two",
            )
    if not dropped:
        return
    others = {known[name]: name for name in known if name not in dropped}
    if "remove" in entry and not others:
        message = "what is dropped has no files that could be removed"
        report.key(
            (*at, "remove"), message, "`packages` says whose files these are, or `drop` is enough"
        )
    elif "remove" not in entry:
        for written, name in others.items():
            message = f"'{written}' is not dropped, and this pass only drops"
            report.key(
                (*at, "packages", written), message, did_you_mean(name, {*filter(None, dropped)})
            )


def _specifier(name: str, specifier: str, path: KeyPath, report: ProblemReport) -> None:
    if not are_versions(specifier):
        hint = "versions as PEP 440 writes them: '>=2.5,<3', or \"\" for any"
        try:
            lockable(
                f"{name} {specifier.strip()}"
                if specifier.strip()[:1].isalnum()
                else f"{name}{specifier.strip()}"
            )
        except RefusedError as error:
            hint = re.sub(rf"\b{re.escape(name)}(?=[<>=!~])", "", error.hint)
        report.value(path, f"'{specifier}' is no range of versions", hint)
