"""The programs, where torch is:

python -m slimbake_export export FOLDER OUT PRECISION
python -m slimbake_export reference FOLDER OUT
"""

from __future__ import annotations

import os
import sys

from .model import run_export
from .reference import make_reference
from .tracing import ExportError

PROGRAMS = {"export": run_export, "reference": make_reference}


def main() -> None:
    """Run the program that the command line names, and exit: 1 for an ExportError, 2 for a wrong
    command line.
    """
    os.umask(0o022)  # the service reads as another user what a build writes
    code = _run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: to tear down torch and transformers in order would take another half second.
    os._exit(code)


def _run(words: list[str]) -> int:
    name = words[0] if words else ""
    if name not in PROGRAMS:
        print(f"usage: python {sys.argv[0]} {{{','.join(PROGRAMS)}}} ...", file=sys.stderr)
        return 2
    try:
        PROGRAMS[name](words[1:])
    except ExportError as error:
        print(f"slimbake: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main()
