"""Makes the prefix of packages on an image of the user's; its own Python runs this.

python3.13 /make.pyz make-prefix /out 3.13
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from ..elf import LIBRARIES
from ..step import EPOCH, INTERPRETER, PREFIX, StepError
from .tree import tree

APP = Path("/app")  # where services have their code
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
ZONES = Path("/usr/share/zoneinfo")
DATA = {
    CERTIFICATES: INTERPRETER / "share" / CERTIFICATES.name,
    Path("/usr/lib/ssl/cert.pem"): CERTIFICATES,  # where its OpenSSL looks
    ZONES: INTERPRETER / "share" / ZONES.name,
}


def make_prefix(arguments: Sequence[str]) -> None:
    """The program `make-prefix OUT VERSION`: lay out what the runtime has in the prefix: links to
    this Python, and the settings of a virtual environment of it.

    Raises StepError where it is no Python that layers of packages run on.
    """
    out, version = Path(arguments[0]), arguments[1]
    expect_fit(version)
    python = interpreter()
    prefix = out / PREFIX.relative_to("/")
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(python)
    for name in ("python3", f"python{version}"):
        (prefix / "bin" / name).symlink_to("python")
    (prefix / f"lib/python{version}/site-packages").mkdir(parents=True)
    (prefix / "pyvenv.cfg").write_text(
        f"home = {python.parent}\ninclude-system-site-packages = false\n"
        f"version = {platform.python_version()}\n"
    )
    (out / LIBRARIES.relative_to("/")).touch()  # empty: whose libraries these are is not known
    if not APP.exists():
        (out / APP.relative_to("/")).mkdir()
    if python.is_relative_to(INTERPRETER):
        link_data(out)
    for path in tree(out):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def link_data(out: Path) -> None:
    """Link what slimbake's own interpreter reads to what lies beside it, where this image has none."""
    for place, target in DATA.items():
        if not os.path.lexists(place):
            link = out / place.relative_to("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)


def interpreter() -> Path:
    """The interpreter itself: where this one is a virtual environment's, the one that made it."""
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    return Path(os.path.realpath(base))


def expect_fit(version: str) -> None:
    """Raise StepError where this Python is of another version, has another C library than the wheels
    are for, or cannot be started by everybody.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != version:
        raise StepError(
            f"the image of `from` has Python {here} at {sys.executable}, and {version} is wanted"
        )
    try:
        glibc = bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (OSError, ValueError):
        glibc = False
    if not glibc:
        raise StepError("the image of `from` has another C library than glibc, such as musl")
    if sys.implementation.name != "cpython" or sys.abiflags:
        raise StepError(
            f"the Python of the image of `from` is {sys.implementation.name}{sys.abiflags}: wheels"
            " for plain CPython do not run on it"
        )
    python = interpreter()
    closed = [path for path in (python, *python.parents) if not path.stat().st_mode & 0o001]
    if closed:
        raise StepError(
            f"the Python of the image of `from`, {python}, can be started by root alone:"
            f" {closed[-1]} is closed to others"
        )
    if (PREFIX / "pyvenv.cfg").exists():
        raise StepError(f"the image of `from` has files in {PREFIX}: it is one of slimbake's own")
