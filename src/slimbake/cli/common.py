"""What several commands take and do: the manifest, a selection of services, the engine."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from slimbake.config.report import did_you_mean
from slimbake.console import Console, harmless
from slimbake.console.tables import WIDTH, folded
from slimbake.errors import NothingSelected, UsageError
from slimbake.inside.lines import some
from slimbake.plan.model import Plan

if TYPE_CHECKING:
    from slimbake.fleet.model import Fleet
    from slimbake.project import Project

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
_SHOWN = 20  # names in a hint


def completed(
    names: Callable[[Fleet], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """What a shell offers: names of the manifest; none where it cannot be read."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        from slimbake.config import manifest
        from slimbake.errors import SlimbakeError
        from slimbake.fleet import resolve

        try:
            offered = names(resolve(manifest(Path(ctx.params.get("file") or "services.yaml"))))
        except (SlimbakeError, OSError):
            return []
        return [name for name in dict.fromkeys(offered) if name and name.startswith(incomplete)]

    return complete


service_names = completed(lambda fleet: (service.name for service in fleet.services))


manifest_option = click.option(
    "-f",
    "--manifest",
    "file",
    type=click.Path(path_type=Path),
    default=Path("services.yaml"),
    show_default=True,
    envvar="SLIMBAKE_MANIFEST",
    help="Path of the manifest.",
)
# all of them where none is named
services_argument = click.argument(
    "services", nargs=-1, metavar="[SERVICE]...", shell_complete=service_names
)


def _after_dashes(
    _: click.Context, __: click.Parameter, arguments: tuple[str, ...]
) -> tuple[str, ...]:
    return arguments[arguments[:1] == ("--",) :]


# of a program, options too; a first `--` is not one of them
arguments_argument = click.argument(
    "arguments", nargs=-1, type=click.UNPROCESSED, callback=_after_dashes
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def table_width() -> int:
    """The columns of a terminal; 0 for a pipe, which gets tables as wide as they are."""
    if not sys.stdout.isatty():
        return 0
    return shutil.get_terminal_size((WIDTH, 0)).columns


def image_options(command: F) -> F:
    """`--tag` and `--registry`: which images."""
    command = click.option(
        "--tag",
        default=lambda: os.environ.get("TAG", "latest"),
        help="Tag of the images. [default: $TAG, or latest]",
    )(command)
    return click.option(
        "--registry",
        default=lambda: os.environ.get("REGISTRY", ""),
        help="Registry and folder of the images. [default: $REGISTRY, or the manifest's]",
    )(command)


platform_option = click.option(
    "--platform", default="", help="Build for this platform only.  [default: the manifest's]"
)
env_option = click.option(
    "-e",
    "--env",
    "environment",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set a variable of the containers; without a value, pass on this shell's.",
)


def image_names(plan: Plan, registry: str, tag: str) -> dict[str, str]:
    """The name of each service's image, and of each image of weights."""
    from slimbake.release.place import reference

    registry = registry or plan.registry
    targets = plan.with_weights(plan.service_names)
    return {name: reference(plan.target(name), registry, tag) for name in targets}


def read(file: Path) -> Project:
    """The project of a manifest."""
    from slimbake.project import load

    return load(file, console)


def select(plan: Plan, names: tuple[str, ...]) -> tuple[str, ...]:
    """The services named, in the plan's order; where none is, the first variant of each. Raises
    UsageError and NothingSelected.
    """
    services = plan.service_names
    for name in names:
        if name not in services:
            hint = did_you_mean(name, services) or f"the services are: {some(services, _SHOWN)}"
            raise UsageError(f"there is no service '{name}' in {plan.manifest}", hint)
    chosen = frozenset(names or plan.group("default"))
    selected = tuple(name for name in services if name in chosen)
    if not selected:
        raise NothingSelected(f"{plan.manifest} has no services", "`slimbake add NAME` makes one")
    return selected


# Lines and progress of a command: stdout is the result's, stderr everything else's.
console = Console()


def json_text(value: Any) -> str:
    """JSON for scripts and for files of a repository. What an image holds moves no cursor."""
    return "".join(map(_shown, json.dumps(value, indent=2, ensure_ascii=False)))


def _shown(letter: str) -> str:
    if letter.isprintable() or letter == "\n":
        return letter
    return json.dumps(letter)[1:-1]


def print_json(value: Any) -> None:
    """A result for scripts, on stdout."""
    click.echo(json_text(value))


def held_images(names: Mapping[str, str], *, optional: bool) -> dict[str, str]:
    """The ids of services' images. `names`: service -> name of its image; `optional`: nobody named
    the services, so those that were not baked yet are left out, in a line.

    Raises SetupError where the engine lacks one, or all of them.
    """
    from slimbake import docker

    ids = docker.found_ids(names) if optional else {}
    if not ids:
        return docker.image_ids(names)
    missing = [name for name in names if name not in ids]
    if missing:
        console.say(f"left out, as they were not baked yet: {', '.join(missing)}")
    return ids


def print_text(text: str) -> None:
    """A result for people, on stdout: on a terminal its lines fold, a pipe gets them as they are.
    What an image holds, such as a file's name, moves no cursor.
    """
    click.echo(folded(harmless(text), table_width()))
