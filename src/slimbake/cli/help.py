"""`slimbake help`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slimbake.cli.commands import examples

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return ctx.find_root().command.shell_complete(ctx, incomplete)


@click.command("help", epilog=examples("slimbake help bake", "slimbake help ci plan"))
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=_names)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command, with examples; without a name, list the commands."""
    found = ctx.find_root()
    for word in words:
        if not isinstance(found.command, click.Group):
            raise click.UsageError(f"'{found.command_path}' has no commands of its own.", found)
        name, known, _ = found.command.resolve_command(found, [word])
        if known is None:
            raise click.UsageError(f"No such command '{word}'.", found)
        found = click.Context(known, info_name=name, parent=found)
    click.echo(found.get_help(), color=ctx.color)
