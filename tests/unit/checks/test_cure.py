"""What to do about an image that does not start, by the last words of its start check."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.fleets import planned, service

from slimbake.checks.cure import Fault, cure, start_cure
from slimbake.config.model import StartCheck
from slimbake.plan.model import Running

ENDED = Fault()
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
    assert start_cure(ENDED, words, running()) == hint
    assert cure(words, running()) == ""


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (Fault("loopback"), ""),
        (Fault("other port"), "let `services.api.port` and the command name the same port"),
        (Fault(), LIMITS),
        (
            Fault("no program", "manage"),
            "the image has no `manage`, or not the interpreter that its first line names:"
            " programs come with packages of `requirements` and `system`, sh with `shell: true`",
        ),
        (Fault("not executable", "/app/run.sh"), "make /app/run.sh executable: `chmod +x`"),
        (Fault("no command"), "write `services.api.command`"),
        (Fault("healthcheck"), "let `healthcheck` name what the image has"),
    ],
)
def test_what_slimbake_itself_has_seen_has_a_cure_of_its_own(fault: Fault, hint: str) -> None:
    assert start_cure(fault, ["[7] [INFO] Starting gunicorn"], running()) == hint


def test_a_variable_that_is_not_set_has_a_cure_unless_slimbake_has_seen_another_fault() -> None:
    words = ["RuntimeError: TOKEN is not set"]
    assert "`start: {env: {KEY: VALUE}}` of `services.api`" in start_cure(ENDED, words, running())
    assert start_cure(Fault("other port"), words, running()).endswith("name the same port")


@pytest.mark.parametrize("fault", [ENDED, Fault("other port")])
def test_a_path_that_cannot_be_written_is_named_first(fault: Fault) -> None:
    words = ["PermissionError: [Errno 13] Permission denied: '/var/x'"]
    assert "`tmpfs: [/var/x]`" in start_cure(fault, words, running())
    assert start_cure(fault, words, running()) == cure(words, running())


def test_services_that_are_beside_it_already_are_not_advised_again() -> None:
    start = StartCheck("listens", beside=("redis",))
    assert start_cure(ENDED, [], running(start=start)) == (
        "if it needs more than redis: a start check has no other network and no data, so name more"
        " services in `start: {with: [...]}` or variables in `{env: {...}}`, or write `start: none`"
    )


def test_a_service_that_it_depends_on_is_named_among_those_that_could_start_first() -> None:
    before = (("search", "service_healthy"), ("migrate", "service_completed_successfully"))
    assert start_cure(ENDED, [], running(depends_on=before)) == LIMITS.replace("postgres", "search")
    start = StartCheck("listens", beside=("redis",))
    found = start_cure(ENDED, [], running(start=start, depends_on=before))
    assert "more than redis: " in found and "`start: {with: [redis, search]}`" in found
    there = running(start=replace(start, fleet=("search",)), depends_on=before)
    assert "`start: {with: [...]}`" in start_cure(ENDED, [], there)


def test_a_file_of_the_code_must_lie_in_the_context() -> None:
    words = ["FileNotFoundError: [Errno 2] No such file or directory: '/app/m/a.bin'"]
    assert (
        start_cure(ENDED, words, running())
        == cure(words, running())
        == (
            "the image has no /app/m/a.bin: `context` must contain it, and no .dockerignore leave it"
            " out"
        )
    )
    assert start_cure(ENDED, words, running(volumes=(("m", "/app/m"),))) == LIMITS
