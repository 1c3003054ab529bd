"""What to do about a check that failed, by what slimbake has seen and by what the program says. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from slimbake.checks.missing import lacking, last_match, missing_variable
from slimbake.checks.readonly import unwritable
from slimbake.config.model import ENDED
from slimbake.plan.model import Running

# The errors that code has wherever it runs: its traceback says enough.
_RAISED = re.compile(r"[\s|]*(?:\w+\.)*(\w+(?:Error|Exception))(?::|$)")
_OF_CODE = frozenset(
    (
        "ImportError",
        "IndentationError",
        "ModuleNotFoundError",
        "NameError",
        "SyntaxError",
        "TabError",
        "UnboundLocalError",
    )
)
_NO_FILE = re.compile(r"No such file or directory: '(/app/[^']+)'")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a command does not start, where slimbake itself has seen it: as `inside.check.start` and
    `engine_start` call it.
    """

    kind: str = ""  # "" = nothing was seen
    program: str = ""  # of "no program" and "not executable"


def start_cure(fault: Fault, words: Sequence[str], service: Running) -> str:
    """What to do about a start check that failed; "" where its message is enough.

    `words`: the last lines that the command wrote. A path that cannot be written, and what is not
    installed, explain more than the fault that they lead to.
    """
    advice = unwritable(words) or lacking(words, service) or _of_fault(fault, service)
    if not advice:
        advice = cure(words, service)
    if advice:
        return advice
    # The message about a port of the loopback, and the code's own error, are enough.
    if fault.kind == "loopback" or _is_of_code(words):
        return ""
    # Nothing is known: the service may need what a start check does not give it.
    return _beyond_a_check(service)


def cure(words: Sequence[str], service: Running) -> str:
    """What to do about any check that failed, by the last lines that it wrote; "" where they say
    nothing that is known.
    """
    return (
        unwritable(words)
        or lacking(words, service)
        or _no_file(words, service)
        or missing_variable(words, service)
    )


def _of_fault(fault: Fault, service: Running) -> str:
    if fault.kind == "no program":
        lacks = (
            f"the image has no `{fault.program}`, or not the interpreter that its first line names"
        )
        if service.own_dockerfile:
            return lacks
        return (
            f"{lacks}: programs come with packages of `requirements` and `system`, sh with"
            " `shell: true`"
        )
    if fault.kind == "not executable":
        return f"make {fault.program} executable: `chmod +x`"
    if fault.kind == "no command":
        return f"write `services.{service.host}.command`"
    if fault.kind == "healthcheck":
        return "let `healthcheck` name what the image has"
    if fault.kind == "other port":
        return f"let `services.{service.host}.port` and the command name the same port"
    return ""


def _no_file(lines: Sequence[str], service: Running) -> str:
    """How a file of the service's code gets into the image that lacks it; "" of other files."""
    missing = last_match(_NO_FILE.search, lines)
    if not missing or service.own_dockerfile or missing[1].startswith(service.writable):
        return ""
    where = "`context` must contain it, and no .dockerignore leave it out"
    return f"the image has no {missing[1]}: {where}"


def _is_of_code(lines: Sequence[str]) -> bool:
    """Whether the command ended with an error that its code has wherever it runs."""
    raised = last_match(_RAISED.match, lines)
    return raised is not None and raised[1] in _OF_CODE


def _beyond_a_check(service: Running) -> str:
    """How to give a start check more of what the service has elsewhere: services, variables."""
    beside = (*service.start.beside, *service.start.fleet)
    waits_for = [name for name, how in service.depends_on if how != ENDED and name not in beside]
    example = "..." if beside else "postgres"
    if waits_for:
        example = ", ".join((*beside, *waits_for))
    if beside:
        return (
            f"if it needs more than {', '.join(beside)}: a start check has no other network and no"
            f" data, so name more services in `start: {{with: [{example}]}}` or variables in"
            " `{env: {...}}`, or write `start: none`"
        )
    return (
        "if it needs a network, data, a variable or another service: a start check has none, but"
        f" `start` gives it services beside it ({{with: [{example}]}}), variables"
        " ({env: {KEY: none}}) or other arguments ([--help]), or is `none`"
    )
