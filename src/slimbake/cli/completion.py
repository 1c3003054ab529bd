"""`slimbake completion`."""

from __future__ import annotations

import click

from slimbake.cli.commands import examples

SHELLS = ("bash", "zsh", "fish")
# zsh has `compdef`, which click's script ends with, only once this has run.
_ZSH = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"


@click.command(
    "completion",
    epilog=examples(
        'eval "$(slimbake completion bash)"',
        "slimbake completion fish > ~/.config/fish/completions/slimbake.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes commands, options, services and variants.

    bash and zsh: put `eval "$(slimbake completion SHELL)"` into ~/.bashrc or ~/.zshrc.
    """
    from click.shell_completion import get_completion_class

    if completion := get_completion_class(shell):
        script = completion(ctx.find_root().command, {}, "slimbake", "_SLIMBAKE_COMPLETE").source()
        first, rest = script.split("\n", 1)  # zsh finds a function's file by its first line
        click.echo(f"{first}\n{_ZSH}{rest}" if shell == "zsh" else script)
