"""The commands by what they are for, the words that people guess for them, and how help looks."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Each command lies in a module of its own, loaded only when it is called: start-up is part of every
# command's time.
GROUPS: Mapping[str, Mapping[str, str]] = {
    "Everyday": {
        "init": "write a manifest from what a repository has",
        "add": "add a service to the manifest",
        "validate": "check the manifest; report all problems at once",
        "lock": "resolve the exact packages of each layer",
        "bake": "build, check, then tag the images",
        "smoke": "run the services' own checks",
        "verify": "call the running images from outside",
        "up": "start the services on one network",
        "run": "run one service's command on that network",
        "logs": "show what services have written",
        "down": "remove the containers of the project",
        "debug": "open a shell in a service's image",
    },
    "Inspect": {
        "plan": "list the targets of the build",
        "sizes": "measure the images",
        "report": "write one HTML page about the fleet",
        "layers": "show the layers of packages, and better ones",
        "why": "say which rule removed or changed a file",
        "cold": "list or extract the code in cold stores",
        "sbom": "list what an image holds, as CycloneDX",
        "fingerprint": "show what targets depend on, and what changed",
    },
    "Optimise": {
        "parity": "compare models' answers with torch's",
    },
    "CI and deployment": {
        "ci": "the steps of a pipeline: plan, shared, released, summary",
        "generate": "write the bake file, the Dockerfiles and the pipeline",
        "digests": "print what was released, by digest",
        "compose": "write the services for a compose file of your own",
    },
    "Machine": {
        "doctor": "report what a bake needs and lacks",
        "setup": "find, start or install the engine",
        "prune": "remove what slimbake left in the engine",
        "completion": "print the completion script of a shell",
        "help": "show the help of a command",
    },
}

CI: Mapping[str, Mapping[str, str]] = {
    "Commands": {
        "plan": "print the jobs of a pipeline, in waves",
        "shared": "build and push once what services share",
        "released": "list what a pipeline released, for the job that signs",
        "summary": "say what a pipeline built, in Markdown",
    }
}

# What people type who know another tool, and what they want here.
GUESSES: Mapping[str, str] = {
    **dict.fromkeys(("build", "make"), "bake"),
    **dict.fromkeys(("push", "publish", "release"), "bake --push"),
    "watch": "up --watch",
    "tag": "bake --tag",
    **dict.fromkeys(("rm", "remove", "delete", "stop", "kill"), "down"),
    **dict.fromkeys(("start", "restart", "serve", "deploy"), "up"),
    **dict.fromkeys(("ps", "top", "tail"), "logs"),
    **dict.fromkeys(("exec", "shell", "sh", "bash"), "debug"),
    **dict.fromkeys(("tree", "deps", "packages"), "layers"),
    **dict.fromkeys(("ls", "list", "show", "targets", "graph"), "plan"),
    **dict.fromkeys(("size", "du", "images", "inspect", "history"), "sizes"),
    **dict.fromkeys(("html", "dashboard"), "report"),
    **dict.fromkeys(("check", "lint", "config"), "validate"),
    "test": "smoke",
    **dict.fromkeys(("new", "create"), "add"),
    **dict.fromkeys(("adopt", "migrate", "import"), "init"),
    **dict.fromkeys(("update", "upgrade", "outdated"), "lock --upgrade"),
    **dict.fromkeys(("freeze", "resolve"), "lock"),
    **dict.fromkeys(("scan", "audit"), "sbom"),
    **dict.fromkeys(("status", "info"), "doctor"),
    "version": "--version",
    **dict.fromkeys(("explain", "blame"), "why"),
    **dict.fromkeys(("clean", "gc", "purge"), "prune"),
    **dict.fromkeys(("install", "engine"), "setup"),
    **dict.fromkeys(("download", "pull", "fetch"), "lock --fetch"),
    **dict.fromkeys(("matrix", "jobs", "pipeline"), "ci plan"),
    "bases": "ci shared",
    "summary": "ci summary",
}


def examples(*lines: str) -> str:
    """What stands below a command's help: lines that can be typed as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  $ {line}" for line in lines)


def color() -> bool | None:
    """For click: None, which is colour on a terminal; false where NO_COLOR is set."""
    return False if os.environ.get("NO_COLOR") else None


class Formatter(click.HelpFormatter):
    """Help with bold headings; click leaves the codes out where there is no terminal."""

    def write_heading(self, heading: str) -> None:
        super().write_heading(click.style(heading, bold=True))


class LazyGroup(click.Group):
    """A group that loads a command's module when the command is called."""

    def __init__(
        self,
        *args: Any,
        package: str = "slimbake.cli",
        groups: Mapping[str, Mapping[str, str]] = GROUPS,
        guesses: Mapping[str, str] = GUESSES,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._package, self._groups, self._guesses = package, groups, guesses
        self._known = {name: about for group in groups.values() for name, about in group.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._known:
            return None
        module = importlib.import_module(f"{self._package}.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in self._groups.items():
            with formatter.section(title):
                width = max(map(len, self._known))
                formatter.write_dl([(name.ljust(width), about) for name, about in group.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=about)
            for name, about in self._known.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._known and not args[0].startswith("-"):
            raise click.UsageError(f"No such command '{args[0]}'.{self._hint(args[0], ctx)}", ctx)
        return super().resolve_command(ctx, args)

    def _hint(self, word: str, ctx: click.Context) -> str:
        import difflib

        words = {**self._guesses, **{name: name for name in self._known}}
        # What is less like it than this is as often something else: "scan" and "clean".
        near = (
            word
            if word in words
            else next(iter(difflib.get_close_matches(word, words, 1, 0.7)), "")
        )
        if near:
            return f" Did you mean '{ctx.command_path} {words[near]}'?"
        return f" It is a key of the manifest: 'slimbake help {word}'" if _is_key(word) else ""


def _is_key(word: str) -> bool:
    from slimbake.config import MANIFEST_SCHEMA
    from slimbake.config.keys import keys_named

    return bool(keys_named(word, json.loads(MANIFEST_SCHEMA.read_text("utf-8"))))
