"""This machine's settings, from environment and files: packages, certificates, proxies."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slimbake.host.pip import PackageSources, package_sources, pip_config_paths, pip_settings

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The settings of this machine that a build has to respect."""

    root: bool
    packages: PackageSources
    # The bundle of certificates that a variable or pip.conf names; None where none does.
    ca_bundle: Path | None
    # Names in upper case; values may hold credentials.
    proxies: tuple[tuple[str, str], ...] = field(repr=False)
    # Bytes, where Docker keeps its data by default.
    disk_free: int


def machine() -> Machine:
    """Read what this machine is set to."""
    return read_machine(
        os.environ, Path("/"), Path.home(), Path(sys.prefix), Path.cwd(), root=os.geteuid() == 0
    )


def read_machine(
    environ: Mapping[str, str], top: Path, home: Path, prefix: Path, folder: Path, *, root: bool
) -> Machine:
    """Read what a machine whose file system lies in `top` is set to, seen from `folder`."""
    paths = pip_config_paths(environ, home, prefix)
    # As pip does: files in a folder that this user may not enter are none.
    present = [path for path in paths if os.path.isfile(_under(top, path))]  # noqa: PTH113
    paths = pip_config_paths(environ, home, prefix, present)
    # Raises OSError where one cannot be read: to go on with another index would be a surprise.
    files = (_under(top, path) for path in paths if path in present)
    pip = pip_settings([file.read_text("utf-8", "replace") for file in files], environ)
    data = top / "var/lib/docker"
    while not data.exists():
        data = data.parent
    return Machine(
        root=root,
        packages=package_sources(pip, environ, folder),
        ca_bundle=_ca_bundle(environ, pip),
        proxies=proxies(environ),
        disk_free=shutil.disk_usage(data).free,
    )


def proxies(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The proxies that are set; where both cases of a name are, the lower one wins, as in curl and
    Python.
    """
    pairs = []
    for name in _PROXIES:
        value = environ.get(name.lower()) or environ.get(name)
        if value:
            pairs.append((name, value))
    return tuple(pairs)


def _ca_bundle(environ: Mapping[str, str], pip: Mapping[str, str]) -> Path | None:
    names = [environ.get(variable) for variable in _CERTIFICATES]
    for name in (*names, pip.get("cert")):
        if name:
            file = Path(name).expanduser().absolute()
            if file.is_file() and os.access(file, os.R_OK):
                return file
    return None


def _under(top: Path, path: Path) -> Path:
    """A path of the file system that lies in `top`."""
    if path.is_absolute() and top != Path("/"):
        return top / path.relative_to("/")
    return path
