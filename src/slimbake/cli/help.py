"""`slimbake help`."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import click

from slimbake.cli.commands import GUESSES, examples
from slimbake.console.tables import WIDTH

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return ctx.find_root().command.shell_complete(ctx, incomplete)


@click.command("help", epilog=examples("slimbake help ci plan", "slimbake help volumes"))
@click.argument("words", nargs=-1, metavar="[COMMAND]...", shell_complete=_names)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command, with examples, or of a key of the manifest; without a name, list
    the commands.

    A key may be written with its path: services.smoke.
    """
    found = ctx.find_root()
    if len(words) == 1 and not _is_command(found, words[0]) and (text := _of_key(words[0])):
        click.echo(text)
        return
    for word in words:
        if not isinstance(found.command, click.Group):
            raise click.UsageError(f"'{found.command_path}' has no commands of its own.", found)
        try:
            name, known, _ = found.command.resolve_command(found, [word])
        except click.UsageError as error:
            if "Did you mean" in error.message or not (near := _misspelt(word)):
                raise
            meant = f"{error.message} Did you mean 'slimbake help {near}'?"
            raise click.UsageError(meant, found) from None
        if known is None:
            raise click.UsageError(f"No such command '{word}'.", found)
        found = click.Context(known, info_name=name, parent=found)
    click.echo(found.get_help(), color=ctx.color)


def _is_command(ctx: click.Context, word: str) -> bool:
    """Whether a word is a command, or what people type for one."""
    return word in GUESSES or (
        isinstance(ctx.command, click.Group) and word in ctx.command.list_commands(ctx)
    )


def _of_key(word: str) -> str:
    """What the schema says of a key of the manifest; "" where it has none of this name."""
    from slimbake.config import MANIFEST_SCHEMA
    from slimbake.config.keys import keys_named

    places: dict[str, list[str]] = {}  # one text stands at several places
    for key in keys_named(word, json.loads(MANIFEST_SCHEMA.read_text("utf-8"))):
        places.setdefault(key.text, []).append(key.path)
    blocks = ["\n".join((*paths, *_wrapped(text))) for text, paths in places.items()]
    more = "bake/services.schema.json has all keys, `slimbake validate` checks a manifest."
    return "\n\n".join((*blocks, more)) if blocks else ""


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _misspelt(word: str) -> str:
    """The key that was likely meant; "" for none."""
    import difflib

    from slimbake.config import MANIFEST_SCHEMA
    from slimbake.config.keys import key_texts

    names = {each.name for each in key_texts(json.loads(MANIFEST_SCHEMA.read_text("utf-8")))}
    return next(iter(difflib.get_close_matches(word, names, 1, 0.8)), "")
