"""Where to list the package of a module or a library that an image lacks."""

from __future__ import annotations

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


def test_a_package_is_added_to_the_requirements_of_the_service() -> None:
    words = missing_module(said("No module named 'a.b'"), running())
    where = "`services.api.requirements`"
    assert f"no `a.b`: add the package that has it to {where}, and run `slimbake lock`" in words


def test_what_has_a_dockerfile_installs_it_there() -> None:
    own = running(dockerfile="services/api/Dockerfile")
    assert missing_module(said("No module named 'six'"), own).endswith("in the Dockerfile")


def test_no_package_has_a_part_of_the_standard_library() -> None:
    words = missing_module(said("No module named 'tkinter'"), running())
    assert words.startswith("`tkinter` is a part of the standard library")


@pytest.mark.parametrize(
    "words", ["No module named 'a.b': the pass a.b removed it; ...", "cannot import name 'b'"]
)
def test_another_error_gets_no_such_advice(words: str) -> None:
    assert missing_module(said(words), running()) == ""


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


def test_a_library_whose_package_has_a_name_of_its_own_is_to_be_searched() -> None:
    words = missing_library(["OSError: oddly.so: cannot open shared object file"], running())
    assert words.endswith("in `services.api.system`; `apt-file search oddly.so` finds it")


def test_the_library_of_an_image_with_a_dockerfile_is_installed_there() -> None:
    own = running(dockerfile="services/api/Dockerfile")
    words = missing_library(["OSError: libgomp.so.1: cannot open shared object file"], own)
    assert words.endswith("in the Dockerfile")


def test_a_shared_object_by_its_path_is_a_file_of_the_program() -> None:
    line = "OSError: /app/lib/own.so: cannot open shared object file: No such file or directory"
    assert lacking([line], running()) == ""


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
