"""Settings of pip and uv, from the text of their configuration files and from variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

# The sections that `pip install` reads; the later one wins.
_SECTIONS = ("global", "install")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSources:
    """Where this machine takes Python packages from."""

    # Empty: the index that the installer has built in. May hold credentials.
    index_url: str = field(default="", repr=False)
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    # Folders, as absolute paths, and addresses of pages.
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    # Package, "" for all others -> the least age of a version that is taken, as uv has it: 7d.
    ages: tuple[tuple[str, str], ...] = ()
    # As the manifest has it: the address of an index -> the packages that no other one may give.
    owners: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def find_links_folders(self) -> tuple[Path, ...]:
        return tuple(Path(entry) for entry in self.find_links if entry.startswith("/"))


def pip_config_paths(
    environ: Mapping[str, str], home: Path, prefix: Path, exists: Iterable[Path] | None = None
) -> tuple[Path, ...]:
    """The files that pip reads, later ones winning: the system's, the user's, the venv's,
    PIP_CONFIG_FILE.

    `exists`: the files that do exist; where PIP_CONFIG_FILE names one of them, pip skips the user's
    files. Source: pip._internal.configuration.
    """
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == "/dev/null":
        return ()
    folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    system = [Path(folder) / "pip/pip.conf" for folder in folders if folder]
    user_folder = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    paths = [*system, Path("/etc/pip.conf")]
    if not named or (exists is not None and Path(named) not in set(exists)):
        paths += [home / ".pip/pip.conf", user_folder / "pip/pip.conf"]
    paths.append(prefix / "pip.conf")
    if named:
        paths.append(Path(named))
    return tuple(paths)


def pip_settings(texts: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of `pip install`: of the files in their order, by section, then of the variables
    PIP_*. The last value of a setting counts.

    A file that is no configuration file is skipped: pip itself reports it.
    """
    import configparser  # only what locks or fetches waits for this import

    sections: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for text in texts:
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(text)
        except configparser.Error:
            continue
        for section in _SECTIONS:
            if parser.has_section(section):
                for key, value in parser.items(section):
                    sections[section][_setting(key)] = value
    settings = {**sections["global"], **sections["install"]}
    for key, value in environ.items():
        if key.startswith("PIP_") and value:
            settings[_setting(key[4:])] = value
    return settings


def package_sources(
    pip: Mapping[str, str], environ: Mapping[str, str], folder: Path
) -> PackageSources:
    """Where packages come from; uv's settings win over pip's.

    `folder` is where relative paths start.
    """
    default = _unnamed(environ.get("UV_DEFAULT_INDEX", ""))
    default = default or _unnamed(environ.get("UV_INDEX_URL", "")) or pip.get("index-url", "")
    extra = [_unnamed(entry) for entry in environ.get("UV_INDEX", "").split()]
    extra += environ.get("UV_EXTRA_INDEX_URL", "").split() + pip.get("extra-index-url", "").split()
    links = environ.get("UV_FIND_LINKS", "").split(",") + pip.get("find-links", "").split()
    return PackageSources(
        index_url=default.strip(),
        extra_index_urls=_once(extra),
        find_links=_once(_located(entry.strip(), folder) for entry in links if entry.strip()),
        no_index=_yes(environ.get("UV_NO_INDEX", "")) or _yes(pip.get("no-index", "")),
    )


def without_credentials(address: str) -> str:
    """An address as it may be shown: without user and password."""
    return re.sub(r"(?<=//)[^/?#]*@", "", address, count=1)


def _setting(key: str) -> str:
    return key.lower().replace("_", "-").removeprefix("--")


def _unnamed(index: str) -> str:
    """uv writes an index as `name=address` or as the address alone."""
    name, equals, address = index.partition("=")
    return address if equals and ":" not in name else index


def _located(entry: str, folder: Path) -> str:
    if entry.startswith("file:"):
        return unquote(urlsplit(entry).path)
    if "://" in entry:
        return entry
    return str(folder / Path(entry).expanduser())


def _yes(value: str) -> bool:
    return value.strip().lower() in {"1", "true", "yes", "on", "t", "y"}


def _once(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))
