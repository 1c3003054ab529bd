"""One requirement as PEP 508 writes it, and what people write in its place."""

from __future__ import annotations

import re
from functools import lru_cache

from slimbake.config.report import RefusedError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSIONS = re.compile(r"\(?[<>=!~].*")  # of a requirement without its marker
_SEPARATORS = re.compile(r"[-_.]+")
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2")
# An address, with a name before it or without; a space ends it where a marker follows.
_ADDRESS = re.compile(
    rf"(?:(?P<name>{_NAME.pattern})\s*(?:(?P<extras>\[[^]]*\])\s*)?@\s*)?"
    r"(?P<url>(?:[a-z][a-z0-9+.-]*://|file:|git@)\S*)(?:\s+;\s*(?P<marker>.+))?$"
)
_SOURCES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_SCHEMES = ("https://", "http://", "git+https://", "git+http://", "git+ssh://", "git+file://")
_FORM = "one package to an item: name, extras, versions, as in httpx[http2]==0.28 or httpx>=0.27,<1"
_BUILT = (
    "put the package into the repository as a folder (./libs/name), or on the package index that"
    " you use"
)
# Of the names of files that list requirements; a path may have any ending.
FILE_ENDINGS = (".txt", ".toml", ".lock", ".yml", ".yaml", ".in", ".cfg", "Pipfile")


def normalised(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return _SEPARATORS.sub("-", name).lower()


def name_of(spec: str) -> str:
    """The normalised name of a checked requirement."""
    match = _NAME.match(spec)
    if match:
        return normalised(match.group().rstrip("-_."))
    return ""


def extra_names(text: str) -> list[str]:
    """The extras in the brackets of a requirement, as they are written: `web, db`."""
    return [name.strip() for name in text.split(",") if name.strip()]


def is_path(text: str) -> bool:
    """Whether a requirement is written as a path and not as a package's name."""
    bare = text.partition("[")[0].partition(";")[0]
    return text.startswith((".", "/", "~")) or ("/" in bare and "@" not in bare and ":" not in bare)


@lru_cache
def allows(versions: str, python: str) -> bool:
    """Whether versions, as PEP 440 writes them, have some release of a Python such as `3.13`."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(versions)
    except InvalidSpecifier:
        return True  # its own tools say so
    # Which release it is, the image decides.
    return not python or any(f"{python}.{patch}" in allowed for patch in (0, 5, 50, 500))


@lru_cache(maxsize=4096)
def lockable(spec: str) -> str:
    """The requirement itself, when it is one that a lock can hold; otherwise RefusedError."""
    if _NAME.fullmatch(spec) and not spec.endswith(_ARCHIVES):
        return spec  # the most frequent form; the parser below costs 30 ms to import
    if address := _ADDRESS.match(spec):
        return _addressed(address)
    if spec.endswith(_ARCHIVES):
        raise RefusedError(f"'{spec}' is a built package", _BUILT)
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(spec)
    except (InvalidRequirement, RecursionError) as error:
        raise RefusedError(f"'{spec}' is no requirement", _FORM) from error
    return spec


def _addressed(match: re.Match[str]) -> str:
    """An address of a Git repository or of a file, as `name @ address`; RefusedError for others."""
    address, fragment = (*match["url"].split("#", 1), "")[:2]
    shown = re.sub(r"(://)[^/@]+@", r"\1", match["url"])
    if re.search(r"://[^/@]*:[^/@]*@|://[^/@]+@", address) and not address.startswith("git+ssh://"):
        raise RefusedError(
            f"'{shown}' carries a user or a password",
            "write it without: Git asks your credential helper, other downloads your .netrc",
        )
    if not address.startswith(_SCHEMES):
        kinds = "git+https://, git+ssh:// and https:// can be locked"
        raise RefusedError(f"'{shown}' is an address of another kind", f"{kinds}\n{_BUILT}")
    git, parts = (
        address.startswith("git+"),
        dict(re.findall(r"(?<![a-z])([a-z]+)=([^&]+)", fragment)),
    )
    if not git and not address.endswith((".whl", *_SOURCES)):
        raise RefusedError(
            f"'{shown}' is the address of no package",
            "name a wheel (.whl), sources (.tar.gz, .zip), or a repository: git+https://...",
        )
    name = match["name"] or parts.get("egg", "").partition("[")[0] or _guessed(address, parts, git)
    extras = (match["extras"] or "").replace(" ", "")
    subdirectory = f"#subdirectory={parts['subdirectory']}" if "subdirectory" in parts else ""
    hashed = f"#sha256={parts['sha256']}" if "sha256" in parts else ""
    requirement = f"{name}{extras} @ {address}{subdirectory or hashed}"
    if match["marker"]:
        return f"{requirement} ; {match['marker']}"
    return requirement


def _guessed(address: str, parts: dict[str, str], git: bool) -> str:
    """The name of a package that an address does not name: uv refuses one that its package has not."""
    if subdirectory := parts.get("subdirectory"):
        return subdirectory.rpartition("/")[2]
    path = address.rstrip("/").partition("://")[2]
    if git:
        repository = re.sub(r"@[^/@]+(/[^@]*)?$", "", path.partition("/")[2])
        return repository.rpartition("/")[2].removesuffix(".git")
    if archive := re.search(r"/([^/]+)/archive/", path):  # of GitHub: its file is called by a tag
        return archive[1]
    return re.split(r"-v?\d", path.rpartition("/")[2], maxsplit=1)[0].removesuffix(".zip")


def is_address(spec: str) -> bool:
    """Whether a checked requirement names where its package is, and not only what it is called."""
    return " @ " in spec


@lru_cache(maxsize=4096)
def within(version: str, versions: str) -> bool:
    """Whether a version lies in a range as PEP 440 writes it, pre-releases included; "" is any."""
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(versions, prereleases=True).contains(version)


def takes(spec: str, version: str) -> bool:
    """Whether a checked requirement takes a version, where its marker holds. An address takes any."""
    versions = _VERSIONS.search(spec.partition(";")[0])
    return is_address(spec) or not versions or within(version, re.sub(r"[\s()]", "", versions[0]))
