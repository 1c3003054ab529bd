"""What to do about an image that does not start, by what its start check says. Pure."""

from __future__ import annotations

import builtins
import re

from slimbake.checks.missing import lacking, missing_variable
from slimbake.checks.readonly import unwritable
from slimbake.config.model import ENDED
from slimbake.plan.model import Running

# Of the first line, which is ours: a start check's, or the engine's.
_NO_PROGRAM = re.compile(r"its command cannot be run: .*No such file or directory: '([^']+)'")
_NOT_EXECUTABLE = re.compile(r"its command cannot be run: .*Permission denied: '([^']+)'")
_NO_COMMAND = re.compile(r"its command is missing")
_NO_HEALTH = re.compile(r"its healthcheck cannot be run")
_OTHER_PORT = re.compile(r"does not listen on port \d+ but on ")
_LOOPBACK = re.compile(r"of the container's loopback only")  # it has its cure
# Of the program's words, the errors that code has wherever it runs: its traceback says enough.
_RAISED = re.compile(r"[\s|]*(?:\w+\.)*(\w+(?:Error|Exception))(?::|$)")
_OF_CODE = frozenset(
    name
    for name, var in vars(builtins).items()
    if isinstance(var, type) and issubclass(var, SyntaxError | ImportError | NameError)
)
_NO_FILE = re.compile(r"No such file or directory: '(/app/[^']+)'")


def cure(why: str, service: Running) -> str:
    """What to do about a start check that failed; "" where what it says is enough.

    `why`: its line, and below it the last words of the command. Where these say nothing that is
    known, a start check's own limits may be the reason.
    """
    first, *lines = why.splitlines()
    return (
        unwritable(lines)
        or lacking(lines, service)
        or _of_line(first, service)
        or _no_file(lines, service)
        or missing_variable(lines, service)
        or ("" if _LOOPBACK.search(first) or _of_code(lines) else _limits(service))
    )


def _of_line(line: str, service: Running) -> str:
    if program := _NO_PROGRAM.search(line):
        lacks = f"the image has no `{program[1]}`, or not the interpreter that its first line names"
        whence = (
            ": programs come with packages of `requirements` and `system`, sh with `shell: true`"
        )
        return lacks if service.own_dockerfile else f"{lacks}{whence}"
    if program := _NOT_EXECUTABLE.search(line):
        return f"make {program[1]} executable: `chmod +x`"
    if _NO_COMMAND.search(line):
        return f"write `services.{service.host}.command`"
    if _NO_HEALTH.search(line):
        return "let `healthcheck` name what the image has"
    if _OTHER_PORT.search(line):
        return f"let `services.{service.host}.port` and the command name the same port"
    return ""


def _no_file(lines: list[str], service: Running) -> str:
    """How a file of the service's code gets into the image that lacks it; "" of other files."""
    missing = [match[1] for line in lines if (match := _NO_FILE.search(line))]
    if not missing or service.own_dockerfile or missing[-1].startswith(service.writable):
        return ""
    where = "`context` must contain it, and no .dockerignore leave it out"
    return f"the image has no {missing[-1]}: {where}"


def _of_code(lines: list[str]) -> bool:
    """Whether the command ended with an error that its code has wherever it runs."""
    raised = [match[1] for line in lines if (match := _RAISED.match(line))]
    return bool(raised) and raised[-1] in _OF_CODE


def _limits(service: Running) -> str:
    beside = (*service.start.beside, *service.start.fleet)
    waits_for = [name for name, how in service.depends_on if how != ENDED and name not in beside]
    named = ", ".join((*beside, *waits_for)) if waits_for else ""
    if beside:
        return (
            f"if it needs more than {', '.join(beside)}: a start check has no other network and no"
            f" data, so name more services in `start: {{with: [{named or '...'}]}}` or variables in"
            " `{env: {...}}`, or write `start: none`"
        )
    return (
        "if it needs a network, data, a variable or another service: a start check has none, but"
        f" `start` gives it services beside it ({{with: [{named or 'postgres'}]}}), variables"
        " ({env: {KEY: none}}) or other arguments ([--help]), or is `none`"
    )
