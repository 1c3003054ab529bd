"""Names: of targets that slimbake derives, of contexts that it links, of images."""

from __future__ import annotations

import re
from collections.abc import Collection

from slimbake.config.report import ProblemReport

PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")  # as the schema has them
RESERVED = frozenset(
    {"runtime", "default", "bases", "smoke", "parity", "images", "checks", "inside", "python", "uv"}
    | {"builder", "externals", "inputs"}  # and files of locks/
)
PREFIXES = {
    "base-": "bases",
    "weights-": "weights",
    "reference-": "what parity is measured against",
    "wheel-": "packages in the repository",
}
INVENTORY = "inventory"  # of SERVICE: the target SERVICE-inventory
SMOKE, _ = CHECKS = "-smoke", "-parity"
# What the plan links, and the stages of the templates: a context of the same name would take their
# place.
LINKS = frozenset(
    {"base", "runtime", "image", "inside", "python", "builder", "uv", "weights", "service"}
    | {"find-links", "wheels", "debs", "system", "build", "unpack", "distil", "locks", "layers"}
    | {"local", "code", "copies", "packages", "bytecode"}
    | {f"{image}-{version}" for image in ("python", "builder") for version in PYTHONS}
)

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?/)"
_TAG = r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})"
IMAGE = re.compile(rf"{_HOST}?{_COMPONENT}(?:/{_COMPONENT})*{_TAG}?(?:@sha256:[0-9a-f]{{64}})?")
IMAGE_FORM = "allowed: [host/]name[:tag][@sha256:...], the name in lower case, without 'https://'"


def check_names(services: Collection[str], report: ProblemReport) -> None:
    """Report services that are called as a target of slimbake's, or as one of another service."""
    for name in services:
        _check(name, services, report)


def _check(name: str, services: Collection[str], report: ProblemReport) -> None:
    prefix = next((beginning for beginning in PREFIXES if name.startswith(beginning)), None)
    if name in RESERVED:
        message = f"'{name}' is a name of slimbake's own"
    elif prefix:
        message = f"names that begin with '{prefix}' are for {PREFIXES[prefix]}"
    elif end := next((suffix for suffix in CHECKS if name.endswith(suffix)), ""):
        message = f"names that end with '{end}' are for checks of services"
    elif name.endswith(f"-{INVENTORY}") and (owner := name.rpartition("-")[0]) in services:
        message = f"'{name}' is the inventory of services.{owner}"
    else:
        return
    report.key(("services", name), message, "give it another name")
