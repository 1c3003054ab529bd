"""What commands of uv and Poetry install of a project. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slimbake.adopt.files import joined

Options = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is installed of a project. `main`: its own dependencies; `whole`: the project, too."""

    extras: Sequence[str]
    groups: Sequence[str]
    main: bool
    whole: bool

    def requirements(self, folder: str) -> list[str]:
        """The same in the manifest's words. `folder`: the project's, in the repository."""
        file = joined(folder, "pyproject.toml")
        listed: list[str] = []
        if self.main:
            project = dotted(folder) if self.whole else file
            extras = ",".join(self.extras)
            listed.append(f"{project}[{extras}]" if extras else project)
        listed += [f"{file}:{group}" for group in dict.fromkeys(self.groups)]
        return listed


def options_of(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Options with their values, of a command that takes nothing else."""
    options: dict[str, list[str]] = {}
    name = ""
    for word in arguments:
        if word.startswith("-"):
            name, equals, value = word.partition("=")
            options.setdefault(name, []).extend([value] if equals else [])
        elif name:
            options[name].append(word)
    return options


def last_of(options: Options, *names: str) -> str:
    """The last value of the first of these options that is given; "" for none."""
    for name in names:
        if options.get(name):
            return options[name][-1]
    return ""


def asked_of_uv(table: Mapping[str, Any], options: Options, *, without_dev: bool) -> Asked:
    """What `uv sync` or `uv export` takes. `table`: pyproject.toml."""
    if only := options.get("--only-group"):
        return Asked((), only, main=False, whole=False)
    all_groups = list(table.get("dependency-groups", {}))
    groups = list(options.get("--group", ()))
    if "--all-groups" in options:
        groups = all_groups
    elif "dev" in all_groups and not without_dev:
        groups.append("dev")
    extras = options.get("--extra", [])
    if "--all-extras" in options:
        extras = list(table.get("project", {}).get("optional-dependencies", {}))
    is_package = table.get("tool", {}).get("uv", {}).get("package") is True
    whole = "build-system" in table or is_package
    if {"--no-install-project", "--no-install-workspace"} & options.keys():
        whole = False
    return Asked(extras, groups, main=True, whole=whole)


def asked_of_poetry(table: Mapping[str, Any], options: Options, *, exports: bool) -> Asked:
    """What `poetry install` or `poetry export` takes. `table`: pyproject.toml."""
    tool = table.get("tool", {}).get("poetry", {})
    tables: dict[str, Any] = dict(tool.get("group", {}))
    if "dev-dependencies" in tool:
        tables["dev"] = {}
    wanted = _names(options, "--with")
    unwanted = _names(options, "--without")
    only = _names(options, "--only")
    groups: list[str] = []
    if only:
        groups = [name for name in only if name != "main"]
    elif exports or {"--no-dev", "--only-root"} & options.keys():
        groups = wanted
    else:
        for name, group in tables.items():
            is_default = not group.get("optional") and name not in unwanted
            if is_default or name in wanted:
                groups.append(name)
    extras = _names(options, "--extras", "-E")
    if "--all-extras" in options:
        extras = list(tool.get("extras", {}))
    main = not only or "main" in only
    whole = main and tool.get("package-mode", True) and "--no-root" not in options
    return Asked(extras, groups, main, whole)


def dotted(folder: str) -> str:
    """A folder as a requirement."""
    return "." if folder == "." else f"./{folder}"


def _names(options: Options, *names: str) -> list[str]:
    """The names that options list, with commas or spaces."""
    listed: list[str] = []
    for option in names:
        for value in options.get(option, ()):
            listed += filter(None, re.split(r"[,\s]+", value))
    return listed
