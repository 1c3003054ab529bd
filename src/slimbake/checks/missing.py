"""What a program says that lacks a module, a library or a variable, and where to add that. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence

from slimbake.inside.check.libraries import package_name
from slimbake.plan.model import Running

# How an import, or `python -m`, ends. Of what a rule removed, the line has more words.
_MISSING = re.compile(r"No module named ('?)([\w.]+)\1$")
# As the loader of glibc ends it, after the words of Python or the name of the program. What has a
# path is a file of the program's own, and no library of Debian.
_LIBRARY = re.compile(r"(?:^|\s)([^\s/]+): cannot open shared object file")
# As Python says it, for os.system and `shell=True` of subprocess.
_SHELL = re.compile(r"No such file or directory: '(?:/usr)?/bin/(?:ba|da)?sh'$")
# As os.environ, pydantic and exceptions of people's own code put it: a key in capitals, a field,
# or a name of several words, unlike those of levels of a log.
_UNSET = re.compile(
    r"^[\s|]*(?:KeyError: '([A-Z][A-Z0-9_]*)'$|Field required \[type=missing"
    r"|(?:\w+\.)*[A-Z][a-z]+[A-Z]\w*(?<!Warning): .*\b(?i:environment variable|(?:be|not) set)\b)"
)


def lacking(lines: Sequence[str], service: Running) -> str:
    """What to do where a service's last words miss a module, a library or a shell; "" where they
    do not.
    """
    return (
        missing_module(lines, service)
        or missing_library(lines, service)
        or missing_shell(lines, service)
    )


def last_match(
    find: Callable[[str], re.Match[str] | None], lines: Sequence[str]
) -> re.Match[str] | None:
    """What a pattern finds in the last line that it finds anything in; None where it finds nothing."""
    for line in reversed(lines):
        match = find(line.rstrip())
        if match:
            return match
    return None


def missing_module(lines: Sequence[str], service: Running) -> str:
    """Where to list the package of a module that a service's last words miss; "" where they miss
    none. Of several the last: it is what ended the program.
    """
    missing = last_match(_MISSING.search, lines)
    if missing is None:
        return ""
    module = missing[2]
    if service.own_dockerfile:
        return f"the image has no `{module}`: install the package that has it in the Dockerfile"
    if module.partition(".")[0] in sys.stdlib_module_names:
        return (
            f"`{module}` is a part of the standard library that slimbake's images lack: a service"
            " that needs it keeps its Dockerfile, with `dockerfile:`"
        )
    return (
        f"the image has no `{module}`: add the package that has it to"
        f" `services.{service.host}.requirements`, and run"
        " `slimbake lock`\n"
        "if it is code of yours: `context` must contain it, and `env: {PYTHONPATH: /app/FOLDER}`"
        " name its folder"
    )


def missing_library(lines: Sequence[str], service: Running) -> str:
    """Where to name the Debian package of a shared library that a service's last words miss; ""
    where they miss none.
    """
    missing = last_match(_LIBRARY.search, lines)
    if missing is None:
        return ""
    library = missing[1]
    if service.own_dockerfile:
        return f"the image has no {library}: install the package that has it in the Dockerfile"
    guess = package_name(library)
    named = f"by Debian's rule for names that is `{guess}`, and " if guess else ""
    return (
        f"the image has no {library}: name the Debian package that has it in"
        f" `services.{service.host}.system`; {named}`apt-file search {library}` finds it"
    )


def missing_shell(lines: Sequence[str], service: Running) -> str:
    """What brings the shell that a service's last words miss; "" where they miss none."""
    if service.own_dockerfile or last_match(_SHELL.search, lines) is None:
        return ""
    return f"the image has no shell: `shell: true` in `services.{service.host}` brings it"


def missing_variable(lines: Sequence[str], service: Running) -> str:
    """How checks get a variable that a service's last words miss; "" where they miss none."""
    unset = last_match(_UNSET.search, lines)
    if unset is None:
        return ""
    return (
        f"if a variable is not set: `start: {{env: {{{unset[1] or 'KEY'}: VALUE}}}}` of"
        f" `services.{service.host}` gives it to the checks, and no image has it"
    )
