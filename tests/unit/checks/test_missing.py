"""Where to list the package of a module or a library that an image lacks."""

from typing import Any

import pytest
from tests.unit.fleets import planned, service

from slimbake.checks.missing import lacking, missing_library, missing_module, missing_variable
from slimbake.plan.model import Running


def running(**more: Any) -> Running:
    [found] = planned(service("api", **more)).services
    return found


def said(*words: str) -> list[str]:
    return [
        "Traceback (most recent call last):",
        *(f"ModuleNotFoundError: {each}" for each in words),
    ]


OWN = {"dockerfile": "services/api/Dockerfile"}
ADD = "add the package that has it to `services.api.requirements`, and run `slimbake lock`"


@pytest.mark.parametrize(
    ("words", "more", "begins", "says"),
    [
        ("No module named 'a.b'", {}, "the image has no `a.b`: ", ADD),
        ("/opt/slimbake/bin/python: No module named pip", {}, "the image has no `pip`: ", ADD),
        ("No module named 'six'", OWN, "the image has no `six`: ", "in the Dockerfile"),
        ("No module named 'tkinter'", {}, "`tkinter` is a part of the standard library", ""),
    ],
)
def test_a_module_has_a_package(words: str, more: Any, begins: str, says: str) -> None:
    found = missing_module(said(words), running(**more))
    assert found.startswith(begins) and says in found


@pytest.mark.parametrize(
    "words",
    [
        "No module named 'a.b': the pass a.b removed it; ...",
        "cannot import name 'b'",
        "No module named 'a",
    ],
)
def test_another_error_gets_no_such_advice(words: str) -> None:
    assert missing_module(said(words), running()) == ""


@pytest.mark.parametrize(
    ("file", "more", "ends"),
    [
        ("oddly.so", {}, "in `services.api.system`; `apt-file search oddly.so` finds it"),
        ("libgomp.so.1", OWN, "in the Dockerfile"),
    ],
)
def test_a_library_has_no_known_package(file: str, more: Any, ends: str) -> None:
    line = f"OSError: {file}: cannot open shared object file: No such file or directory"
    assert missing_library([line], running(**more)).endswith(ends)
    assert lacking([line.replace(file, f"/app/lib/{file}")], running(**more)) == "", (
        "of the program"
    )


@pytest.mark.parametrize(
    "line",
    [
        "OSError: libgomp.so.1: cannot open shared object file: No such file or directory",
        "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory",
        "/usr/bin/pdf: error while loading shared libraries: libgomp.so.1: cannot open shared object"
        " file: No such file or directory",
    ],
)
def test_a_library_has_a_package_of_debian(line: str) -> None:
    assert lacking(["a", line], running()) == (
        "the image has no libgomp.so.1: name the Debian package that has it in"
        " `services.api.system`; by Debian's rule for names that is `libgomp1`, and"
        " `apt-file search libgomp.so.1` finds it"
    )


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("KeyError: 'VAULT_URL'", "VAULT_URL"),
        ("  | KeyError: 'DSN'", "DSN"),
        ("  Field required [type=missing, input_value={}, input_type=dict]", "KEY"),
        ("RuntimeError: VAULT_URL is not set", "KEY"),
        ("app.errors.SettingsError: VAULT_URL must be set", "KEY"),
        ('environs.EnvError: Environment variable "VAULT_URL" not set', "KEY"),
        ("KeyError: 'name'", ""),
        ("UnboundLocalError: cannot access local variable 'a'", ""),
        ("the cache is set up", ""),
        ("WARNING: LANG is not set", ""),
        ("/app/a.py:3: UserWarning: LANG is not set", ""),
        ("UserWarning: LANG is not set", ""),
        ("ValueError: 3 is no member of this setting", ""),
    ],
)
def test_a_variable_that_is_not_set_is_given_to_checks(line: str, name: str) -> None:
    words = missing_variable(["Traceback (most recent call last):", line], running())
    given = (
        f"if a variable is not set: `start: {{env: {{{name}: VALUE}}}}` of `services.api` gives it"
        " to the checks, and no image has it"
    )
    assert words == (given if name else "")


def test_a_shell_that_code_starts_is_named() -> None:
    words = ["FileNotFoundError: [Errno 2] No such file or directory: '/bin/sh'"]
    named = "the image has no shell: `shell: true` in `services.api` brings it"
    assert lacking(words, running()) == named
    assert lacking(words, running(**OWN)) == ""
