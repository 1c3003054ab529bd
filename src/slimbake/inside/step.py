"""What all steps agree on: where they find things, as whom they run, and how they fail."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

INSIDE = Path("/inside")  # what a step mounts beside its program; none of it stays in an image
PREFIX = Path("/opt/slimbake")  # all packages are installed below it
INTERPRETER = PREFIX / "python"  # slimbake's own, in an image of the user's that has none
SITE = "lib/python*/site-packages"  # below the prefix
EPOCH = 315532800  # 1980-01-01: no zip file, so no wheel made in an image, can hold an older time
NONROOT = 65532  # user and group of every service


class StepError(Exception):
    """A step cannot do its work; the text is for whoever reads the build's log."""


def main_of(programs: Mapping[str, str], package: str) -> NoReturn:
    """Run the program that the command line names, as `dispatch` does, and exit.

    At once: to tear down torch and transformers in order would take another half second.
    """
    os.umask(0o022)  # the service reads as another user what a step writes
    code = dispatch(programs, package)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def dispatch(programs: Mapping[str, str], package: str) -> int:
    """Run the program that the first argument names with the other arguments; return its exit code.

    `programs`: name -> `MODULE:FUNCTION`, the module relative to `package`. Only that module is
    imported: in a final image the others would cost time.
    """
    name, *arguments = sys.argv[1:] or ("",)
    if name not in programs:
        print(f"usage: python {sys.argv[0]} {{{','.join(programs)}}} ...", file=sys.stderr)
        return 2
    module, _, function = programs[name].partition(":")
    try:
        return int(getattr(importlib.import_module(module, package), function)(arguments) or 0)
    except StepError as error:
        print(f"slimbake: {error}", file=sys.stderr)
        return 1


def hashed(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
