"""One requirement as PEP 508 writes it, and what people write in its place."""

from __future__ import annotations

import re
from functools import lru_cache

from slimbake.config.report import RefusedError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_CLAUSE = r"[<>=!~]{1,3}[A-Za-z0-9.*+!_-]+"
_VERSIONED = re.compile(rf"{_NAME.pattern}({_CLAUSE}(?:,{_CLAUSE})*)")
_SEPARATORS = re.compile(r"[-_.]+")
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2")
_FORM = "write a name, extras, versions: httpx, httpx[http2], httpx>=0.27,<1"
_BUILT = (
    "put the package into the repository as a folder (./libs/name), or on the package index that"
    " you use"
)


def normalised(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return _SEPARATORS.sub("-", name).lower()


def name_of(spec: str) -> str:
    """The normalised name of a checked requirement."""
    found = _NAME.match(spec)
    return normalised(found.group().rstrip("-_.")) if found else ""


def is_path(text: str) -> bool:
    """Whether a requirement is written as a path and not as a package's name."""
    return text.startswith((".", "/", "~")) or ("/" in text and "@" not in text and ":" not in text)


@lru_cache(maxsize=4096)
def lockable(spec: str) -> str:
    """The requirement itself, when it is one that a lock can hold; otherwise RefusedError."""
    if _NAME.fullmatch(spec) and not spec.endswith(_ARCHIVES):
        return spec  # the most frequent form; the parser below costs 30 ms to import
    if (
        "://" in spec
        or re.search(r"\s@|^[\w.-]+(\[[^]]*\])?@", spec)
        or spec.startswith(("git+", "file:"))
    ):
        raise RefusedError(
            f"'{spec}' is an address, and only names and folders can be locked", _BUILT
        )
    if spec.endswith(_ARCHIVES):
        raise RefusedError(f"'{spec}' is a built package", _BUILT)
    if (found := _VERSIONED.fullmatch(spec)) and _are_versions(found[1]):
        return spec  # passes have the packages' versions read anyway; the parser takes 10 ms more
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(spec)
    except InvalidRequirement as error:
        raise RefusedError(f"'{spec}' is no requirement", _advice(spec)) from error
    return spec


def _are_versions(text: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return bool(SpecifierSet(text))
    except InvalidSpecifier:
        return False


def _advice(spec: str) -> str:
    if mend := re.fullmatch(r"([\w.-]+(?:\[[\w,. -]*\])?)\s*=\s*([\w.*+!-]+)", spec):
        return f"versions are compared with '==': {mend[1]}=={mend[2]}"
    if "=>" in spec or "=<" in spec:
        return f"the '=' comes last: {spec.replace('=>', '>=').replace('=<', '<=')}"
    if mend := re.fullmatch(
        r"([\w.-]+)\s*((?:[<>=!~]=?)\s*[\w.*]+)\s+((?:[<>=!~]=?)\s*[\w.*]+)", spec
    ):
        return f"put a comma between versions: {mend[1]}{mend[2]},{mend[3]}"
    if mend := re.fullmatch(r"([\w.-]+)\s*\^\s*([0-9]+)([\w.]*)", spec):
        return f"'^' is Poetry's: {mend[1]}>={mend[2]}{mend[3]},<{int(mend[2]) + 1}"
    if mend := re.fullmatch(r"([\w.-]+)\s+v?([0-9][\w.]*)", spec):
        return f"versions follow an operator: {mend[1]}=={mend[2]}"
    if re.fullmatch(r"[\w.-]+(\s+[\w.-]+)+", spec):
        return "one package to an item"
    return _FORM
