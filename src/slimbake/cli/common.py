"""What several commands take and do: the manifest, a selection of services, the engine."""

from __future__ import annotations

import functools
import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from slimbake.console import Console
from slimbake.console.tables import WIDTH, Layout, folded
from slimbake.errors import NothingSelected, UsageError
from slimbake.plan.model import Plan

if TYPE_CHECKING:
    from slimbake.build.release import Released
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
            found = names(resolve(manifest(Path(ctx.params.get("file") or "services.yaml"))))
        except (SlimbakeError, OSError):
            return []
        return [name for name in dict.fromkeys(found) if name and name.startswith(incomplete)]

    return complete


service_names = completed(lambda fleet: (each.name for each in fleet.services))


def manifest_option(command: F) -> F:
    """`--manifest`: which file to read, or to write."""
    return click.option(
        "-f",
        "--manifest",
        "file",
        type=click.Path(path_type=Path),
        default=Path("services.yaml"),
        show_default=True,
        envvar="SLIMBAKE_MANIFEST",
        help="Path of the manifest.",
    )(command)


def services_argument(command: F) -> F:
    """`[SERVICE]...`: all of them where none is named."""
    return click.argument(
        "services", nargs=-1, metavar="[SERVICE]...", shell_complete=service_names
    )(command)


def arguments_argument(command: F) -> F:
    """`[ARGUMENTS]...` of a program, options too; a first `--` is not one of them."""

    def own(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
        return words[words[:1] == ("--",) :]

    return click.argument("arguments", nargs=-1, type=click.UNPROCESSED, callback=own)(command)


def variant_option(command: F) -> F:
    """`--variant`: of what has several, which; the first where none is named."""
    return _variant_option("the first")(command)


def all_variants_option(command: F) -> F:
    """The same for commands that take all of them where none is named."""
    return _variant_option("all")(command)


def service_options(command: F) -> F:
    """`[SERVICE]...`, `--variant` and `--manifest`: which services of which file."""
    return services_argument(variant_option(manifest_option(command)))


def _variant_option(default: str) -> Callable[[F], F]:
    return click.option(
        "--variant",
        default="",
        metavar="NAME",
        help=f"Variant to use, of services that have several. [default: {default}]",
        shell_complete=completed(lambda fleet: [each.variant for each in fleet.services]),
    )


def json_option(command: F) -> F:
    """`--json`: for scripts."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def table_options(command: F) -> F:
    """`--wide` and `--markdown`, as `layout`: how tables are laid out."""

    @functools.wraps(command)
    def laid_out(*args: Any, wide: bool, markdown: bool, **kwargs: Any) -> Any:
        return command(*args, layout=Layout(0 if wide else _columns(), markdown), **kwargs)

    options = (
        click.option("--markdown", is_flag=True, help="Print tables in Markdown."),
        click.option("--wide", is_flag=True, help="Do not fold tables to the width of a line."),
    )
    made: Any = laid_out
    for option in options:
        made = option(made)
    return cast("F", made)


def output_options(command: F) -> F:
    """`--json`, and how tables are laid out."""
    return json_option(table_options(command))


def known_option(text: str) -> Callable[[F], F]:
    """`--known`: what `slimbake ci summary --write` wrote."""
    return click.option("--known", type=FILE, envvar="SLIMBAKE_KNOWN", help=text)


def _columns() -> int:
    """Of a line of stdout."""
    return shutil.get_terminal_size((WIDTH, 0)).columns if sys.stdout.isatty() else WIDTH


def image_options(command: F) -> F:
    """`--tag` and `--registry`: which images."""
    command = click.option(
        "--tag",
        default=lambda: os.environ.get("TAG", "latest"),
        help="Tag of the images. [default: $TAG, or latest]",
    )(command)
    return registry_option(command)


def registry_option(command: F) -> F:
    """`--registry`: where the images are."""
    return click.option(
        "--registry",
        default=lambda: os.environ.get("REGISTRY", ""),
        help="Registry and folder of the images. [default: $REGISTRY, or the manifest's]",
    )(command)


def env_option(command: F) -> F:
    """`--env`: variables of containers."""
    return click.option(
        "-e",
        "--env",
        "environment",
        multiple=True,
        metavar="NAME[=VALUE]",
        help="Set a variable of the containers; without a value, pass on this shell's.",
    )(command)


def platform_option(command: F) -> F:
    """`--platform`: which image of an index that lists several."""

    def here() -> str:
        from slimbake.images import this_platform

        return this_platform()

    return click.option(
        "--platform",
        default=here,
        help="Platform to read, of an image for several. [default: this machine's]",
    )(command)


def image_names(plan: Plan, registry: str, tag: str) -> dict[str, str]:
    """The name of each service's image, and of each image of weights."""
    from slimbake.build.place import reference

    targets = plan.with_weights(tuple(s.service for s in plan.services))
    return {name: reference(plan.target(name), registry or plan.registry, tag) for name in targets}


def read(file: Path) -> Project:
    """The project of a manifest."""
    from slimbake.project import load

    # A large fleet has millions of values, all of them until the end.
    gc.disable()
    try:
        return load(file, console)
    finally:
        gc.freeze()
        gc.enable()


def tell_tool(project: Project) -> None:
    """Say that a pipeline could not install this slimbake, and what to do."""
    from slimbake.ci.tool import tool_missing, unlockable

    if why := tool_missing(project):
        if never := unlockable(project):
            console.say(f"warning: {never.message}\n  {never.hint}")
        else:
            console.say(f"{why}: `slimbake lock` writes it")


def select(plan: Plan, names: tuple[str, ...], variant: str = "") -> tuple[str, ...]:
    """The services named, in the plan's order; where none is, the first variant of each, or all of
    `variant`.

    With a variant, a name stands for that variant of the service. Raises UsageError and
    NothingSelected.
    """
    known = {service.service: None for service in plan.services}
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no service '{name}' in {plan.manifest}",
                _near(name, "services", [*known]),
            )
    if variant:
        variants = list(
            dict.fromkeys(service.variant for service in plan.services if service.variant)
        )
        if variant not in variants:
            hint = _near(variant, "variants", variants)
            raise UsageError(f"there is no variant '{variant}' in {plan.manifest}", hint)
        names = tuple(_variant(plan, name, variant) for name in names)
    chosen = frozenset(names or plan.group(variant or "default"))
    selected = tuple(name for name in known if name in chosen)
    if not selected:
        raise NothingSelected(f"{plan.manifest} has no services", "`slimbake add NAME` makes one")
    return selected


def select_any(plan: Plan, names: tuple[str, ...], variant: str) -> tuple[str, ...]:
    """As `select`, but where nothing is named every service in all its variants, and none at all
    is no error.
    """
    wanted = names if names or variant else tuple(each.service for each in plan.services)
    return select(plan, wanted, variant) if wanted or variant else ()


def _variant(plan: Plan, name: str, variant: str) -> str:
    having = [service for service in plan.services if service.variant == variant]
    if found := next(
        (service.service for service in having if name in {service.service, service.host}), None
    ):
        return found
    names = ", ".join(service.host for service in having)
    raise UsageError(f"'{name}' has no variant '{variant}'", f"these have: {names}")


def _near(name: str, kind: str, known: list[str]) -> str:
    import difflib

    if near := difflib.get_close_matches(name, known, 1):
        return f"did you mean '{near[0]}'?"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"the {kind} are: {', '.join(known[:_SHOWN])}{more}"


# Lines and progress of a command: stdout is the result's, stderr everything else's.
console = Console()


def print_json(value: Any) -> None:
    """A result for scripts, on stdout."""
    click.echo(_json(value))


def held_images(names: Mapping[str, str], *, every: bool) -> dict[str, str]:
    """The ids of services' images. `names`: service -> name of its image; `every`: nobody named the
    services, so those that were not baked yet are left out, in a line.

    Raises SetupError where the engine lacks one, or all of them.
    """
    from slimbake import docker

    found = {name: docker.find_image(image) for name, image in names.items()} if every else {}
    there = {name: image.id for name, image in found.items() if image}
    if not there:
        return docker.image_ids(names)
    if missing := [name for name in names if name not in there]:
        console.say(f"left out, as they were not baked yet: {', '.join(missing)}")
    return there


def record(value: Any, path: Path) -> None:
    """Put a result into the repository, for other commands to read, as `print_json` prints it."""
    from slimbake.host.files import write_atomically

    write_atomically(path, f"{_json(value)}\n".encode())
    console.say(f"recorded in {path}")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def print_text(text: str, layout: Layout | None = None) -> None:
    """A result for people, on stdout: on a terminal its lines fold, a pipe gets them as they are.

    `layout`: as the options of a command have it.
    """
    layout = layout or Layout(_columns())
    fold = sys.stdout.isatty() and not layout.markdown
    click.echo(folded(text, layout.width) if fold else text)


def print_released(released: Released, as_json: bool, layout: Layout) -> None:
    """The result of a bake."""
    from slimbake.build.released_report import released_json as released_json
    from slimbake.build.released_report import released_text

    if as_json:
        print_json(released_json(released))
    else:
        print_text(released_text(released, layout), layout)
