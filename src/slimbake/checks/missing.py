"""What a program says that lacks a module, and where to list the package that has it. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from slimbake.plan.model import Running

# As Python ends it: what a pass removed has more words.
_MISSING = re.compile(r"No module named '([\w.]+)'$")


def missing_module(lines: Iterable[str], service: Running) -> str:
    """Where to list the package of a module that a service's last words miss; "" where they miss
    none. Of several the last: it is what ended the program.
    """
    found = [match[1] for line in lines if (match := _MISSING.search(line.rstrip()))]
    if not found:
        return ""
    module = found[-1]
    if service.own_dockerfile:
        return f"the image has no `{module}`: install the package that has it in the Dockerfile"
    if module.partition(".")[0] in sys.stdlib_module_names:
        return (
            f"`{module}` is a part of the standard library that slimbake's images lack: a service"
            " that needs it keeps its Dockerfile, with `dockerfile:`"
        )
    return (
        f"the image has no `{module}`: add the package that has it to {service.listed_in}, and run"
        " `slimbake lock`\n"
        "if it is code of yours: `context` must contain it, and `env: {PYTHONPATH: /app/FOLDER}`"
        " name its folder"
    )
