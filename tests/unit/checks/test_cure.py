"""What to do about an image that does not start, by the last words of its start check."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.fleets import planned, service

from slimbake.checks.cure import cure
from slimbake.config.model import StartCheck
from slimbake.plan.model import Running

ENDED = "api: its command ended with exit code 1 before it listened on port 8000"
LIMITS = (
    "if it needs a network, data, a variable or another service: a start check has none, but"
    " `start` gives it services beside it ({with: [postgres]}), variables ({env: {KEY: none}})"
    " or other arguments ([--help]), or is `none`"
)


def running(**more: Any) -> Running:
    [found] = planned(service("api", **more)).services
    return found


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (['  File "/app/a.py", line 25', "    def tick(:", "SyntaxError: invalid syntax"], ""),
        (["  | IndentationError: unexpected indent", "[7] [INFO] Worker exiting"], ""),
        (["ImportError: cannot import name 'b' from 'a' (/app/a.py)"], ""),
        (["NameError: name 'a' is not defined"], ""),
        (["ImportError: no b", "psycopg.OperationalError: connection refused"], LIMITS),
        (["ConnectionRefusedError: [Errno 111] Connection refused"], LIMITS),
        (["socket.gaierror: [Errno -3] Temporary failure in name resolution"], LIMITS),
        (["FileNotFoundError: [Errno 2] No such file or directory: '/data/a.db'"], LIMITS),
        (["django.core.exceptions.ImproperlyConfigured: Set the SECRET_KEY variable"], LIMITS),
        (["RuntimeError: gevent worker requires gevent 1.4 or higher"], LIMITS),
        ([], LIMITS),
    ],
)
def test_limits_of_a_start_check_are_named_as_a_reason(words: list[str], hint: str) -> None:
    assert cure("\n".join((ENDED, *(f"  {each}" for each in words))), running()) == hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            "api: its command listens on port 8000 of the container's loopback only: bind it to"
            " 0.0.0.0",
            "",
        ),
        (
            "api: its command does not listen on port 8000 but on 9999",
            "let `services.api.port` and the command name the same port",
        ),
        ("api: its command does not listen on port 8000", LIMITS),
        ("api: its command listens on port 8000, and answers nothing there", LIMITS),
        (
            "api: its command cannot be run: [Errno 2] No such file or directory: 'manage'",
            "the image has no `manage`, or not the interpreter that its first line names:"
            " programs come with packages of `requirements` and `system`, sh with `shell: true`",
        ),
        (
            "api: its command cannot be run: [Errno 13] Permission denied: '/app/run.sh'",
            "make /app/run.sh executable: `chmod +x`",
        ),
        (
            "api: its command is missing: neither the manifest nor the image has one",
            "write `services.api.command`",
        ),
        (
            "api: its healthcheck cannot be run: the image has no curl",
            "let `healthcheck` name what the image has",
        ),
    ],
)
def test_what_slimbake_itself_has_seen_has_a_cure_of_its_own(line: str, hint: str) -> None:
    assert cure(f"{line}\n  [7] [INFO] Starting gunicorn", running()) == hint


def test_a_variable_that_is_not_set_has_a_cure_unless_the_first_line_has_one() -> None:
    words = "\n  RuntimeError: TOKEN is not set"
    assert "`start: {env: {KEY: VALUE}}` of `services.api`" in cure(f"{ENDED}{words}", running())
    other = "api: its command does not listen on port 8000 but on 9999"
    assert cure(f"{other}{words}", running()).endswith("name the same port")


def test_services_that_are_beside_it_already_are_not_advised_again() -> None:
    start = StartCheck("listens", beside=("redis",))
    assert cure(ENDED, running(start=start)) == (
        "if it needs more than redis: a start check has no other network and no data, so name more"
        " services in `start: {with: [...]}` or variables in `{env: {...}}`, or write `start: none`"
    )


def test_a_service_that_it_depends_on_is_named_among_those_that_could_start_first() -> None:
    before = (("search", "service_healthy"), ("migrate", "service_completed_successfully"))
    assert cure(ENDED, running(depends_on=before)) == LIMITS.replace("postgres", "search")
    start = StartCheck("listens", beside=("redis",))
    found = cure(ENDED, running(start=start, depends_on=before))
    assert "more than redis: " in found and "`start: {with: [redis, search]}`" in found
    there = running(start=replace(start, fleet=("search",)), depends_on=before)
    assert "`start: {with: [...]}`" in cure(ENDED, there)


def test_a_file_of_the_code_must_lie_in_the_context() -> None:
    words = f"{ENDED}\n  FileNotFoundError: [Errno 2] No such file or directory: '/app/m/a.bin'"
    assert cure(words, running()) == (
        "the image has no /app/m/a.bin: `context` must contain it, and no .dockerignore leave it"
        " out"
    )
    assert cure(words, running(volumes=(("m", "/app/m"),))) == LIMITS
