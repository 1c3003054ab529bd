"""The commands by what they are for, and how help looks."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Each command lies in a module of its own, loaded only when it is called: start-up is part of every
# command's time.
GROUPS: Mapping[str, Mapping[str, str]] = {
    "Every day": {
        "init": "write a manifest from what a repository has",
        "add": "add a service to the manifest",
        "lock": "resolve the exact packages of each layer",
        "bake": "build, check, then tag the images",
        "up": "start the services on one network",
        "down": "remove the containers of the project",
        "logs": "show what services have written",
        "run": "run one service's command on that network",
        "debug": "open a shell in a service's image",
        "check": "check the manifest, locks and files; or images",
        "sizes": "measure the images",
        "doctor": "report what a bake needs and lacks",
    },
    "Inspect": {
        "report": "write one HTML page about the fleet",
        "why": "say what became of a file, and who needs a package",
        "plan": "list the targets of the build, or what changed",
        "sbom": "list what an image holds, as CycloneDX",
        "layers": "show the layers of packages, and better ones",
    },
    "Deliver": {
        "generate": "write the bake file, the Dockerfiles, the pipeline",
        "export": "write the services, or their digests, for a deploy",
        "ci": "the steps of a pipeline",
    },
    "Machine": {
        "prune": "remove what slimbake left in the engine",
        "completion": "print the completion script of a shell",
    },
}

_COMMANDS: dict[str, str] = {}
for _group in GROUPS.values():
    _COMMANDS.update(_group)


def examples(*lines: str) -> str:
    """What stands below a command's help: lines that can be typed as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  $ {line}" for line in lines)


# For click: None, which is colour on a terminal; false where NO_COLOR is set.
COLOR = False if os.environ.get("NO_COLOR") else None


class LazyGroup(click.Group):
    """A group that loads a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"slimbake.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, _COMMANDS))
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), about) for name, about in group.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        names = (name for name in _COMMANDS if name.startswith(incomplete))
        items = [CompletionItem(name, help=_COMMANDS[name]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _COMMANDS, 1, 0.7)
            hint = f" Did you mean '{ctx.command_path} {near[0]}'?" if near else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)
