"""Rules of `copy`: files of the context, of stages and of images. Nothing here reads a file."""

from __future__ import annotations

import posixpath
from typing import Any

from slimbake.config.containers import clean, overlapped
from slimbake.config.document import KeyPath
from slimbake.config.report import ProblemReport, did_you_mean

Raw = dict[str, Any]

# What the image has of packages and weights; and where containers mount something over its files.
_OCCUPIED = ("/opt/slimbake", "/weights")
_HIDDEN = ("/proc", "/sys", "/dev", "/run", "/tmp")  # noqa: S108


def copied(service: Raw, at: KeyPath, report: ProblemReport) -> None:
    """Report what is wrong with the entries of `copy` of one service."""
    hidden = [*_HIDDEN, *map(clean, filter(None, service.get("tmpfs", ())))]
    places: dict[str, int] = {}  # path in the image -> the number of its entry
    for index, entry in enumerate(service.get("copy", ())):
        if not entry:  # the schema reports it
            continue
        path = (*at, "copy", index)
        unknown_secrets(entry.get("from", {}), (*path, "from"), service, report)
        _source(entry, (*path, "source"), report)
        place = _place(entry)
        if not place or report.has_value((*path, "to")):
            continue
        occupied = overlapped(place, _OCCUPIED)
        covered = overlapped(place, hidden)
        message = ""
        if occupied:
            message = f"'{place}' overlaps with {occupied}, which slimbake fills"
        elif covered:
            message = f"'{place}' overlaps with {covered}, which containers have in memory"
        elif place in places:
            message = f"'{place}' is the place of copy[{places[place]}]"
        if message:
            report.value((*path, "to"), message, "choose another path, such as /app/static")
        places[place] = index


def _source(entry: Raw, at: KeyPath, report: ProblemReport) -> None:
    """Report a source that is relative to nothing, or absolute in the context."""
    source: str = entry.get("source") or ""
    if not source or report.has_value(at):
        return
    is_absolute = source.startswith("/")
    if "from" in entry and not is_absolute:
        report.value(at, f"'{source}' is relative", "write its absolute path there")
    if "from" not in entry and is_absolute:
        hint = "write it relative to the `context`; or add `from`, a stage or an image"
        report.value(at, f"'{source}' is absolute, and the service's context has it", hint)


def _place(entry: Raw) -> str:
    """Where an entry lies in the image: a file in a folder by its own name; "" where it is unknown."""
    to: str = entry.get("to") or ""
    if to.endswith("/"):
        to += posixpath.basename(posixpath.normpath(entry.get("source") or ""))
    return posixpath.normpath(to) if to else ""


def unknown_secrets(reader: Raw, at: KeyPath, service: Raw, report: ProblemReport) -> None:
    """Report the secrets that a step or a stage reads and the service does not have."""
    secrets = service.get("secrets", {})
    for index, secret in enumerate(reader.get("secrets", ())):
        if secret is not None and secret not in secrets:
            hint = did_you_mean(secret, secrets) or "add it to the `secrets` of the service"
            report.value((*at, "secrets", index), f"unknown secret '{secret}'", hint)
