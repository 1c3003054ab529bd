"""Manifests with thousands of problems: each command shows the first ones and counts the rest, up to a limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.abuse.conftest import Slimbake

from slimbake.config.report import MOST

MANY = 3000
HEAD = 'project: toys\npython: "3.11"\nservices:\n'
GOOD = "  api: {context: api, command: [a]}\n"


def _services(entry: str, name: str = "s{}") -> str:
    return HEAD + "".join(f"  {name.format(number)}: {entry}\n" for number in range(MANY))


def _listed(key: str, value: str) -> str:
    values = ", ".join(value.format(number) for number in range(MANY))
    return f"{HEAD}  api: {{context: api, command: [a], {key}: [{values}]}}\n"


def _keys(above: str) -> str:
    return above + "".join(f"k{number}: 1\n" for number in range(MANY))


MANIFESTS: dict[str, Callable[[], str]] = {
    "unknown keys": lambda: _keys(HEAD + GOOD),
    "services that are numbers": lambda: _services("7"),
    "services whose command is a number": lambda: _services("{context: api, command: 7}"),
    "services whose folder is missing": lambda: _services("{context: none, command: [a]}"),
    "services with a key that is none": lambda: _services("{context: api, commands: [a]}"),
    "services with a base that is none": lambda: _services("{context: api, base: none}"),
    "services with a Python that is none": lambda: _services("{context: api, python: '1'}"),
    "services with a name that is none": lambda: _services("{context: api}", name="S{} x"),
    "requirements that are none": lambda: _listed("requirements", "'!{}'"),
    "requirements with options": lambda: _listed("requirements", "'--index-url=x{}'"),
    "requirements that are numbers": lambda: _listed("requirements", "{}"),
    "platforms that are none": lambda: _listed("platforms", "x{}"),
    "bases that are numbers": lambda: (
        _services("7").replace("services", "bases") + f"services:\n{GOOD}"
    ),
    "files to remove that are numbers": lambda: _listed("remove", "{}"),
    "system packages that are none": lambda: _listed("system", "'A B{}'"),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", MANIFESTS)
def test_many_problems_are_counted(kind: str, slimbake: Slimbake, tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(MANIFESTS[kind]())
    ended = slimbake("check", at=tmp_path)
    assert ended.code == 2
    assert len(ended.stderr) < 50_000
    assert f"slimbake stops at {MOST:,} problems" in ended.stderr
    assert f"and {MOST + 1 - 50:,} more problems" in ended.stderr
    assert f"{MOST + 1} problems in services.yaml" in ended.stderr


def test_many_warnings_are_counted(slimbake: Slimbake, tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(_services("{context: api}"))
    ended = slimbake("plan", at=tmp_path)
    assert len(ended.stderr) < 50_000
    assert f"and {MANY - 50:,} more warnings" in ended.stderr
