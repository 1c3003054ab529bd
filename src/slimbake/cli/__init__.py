"""The command line: turns words into calls of the stages, results into text, failures into exit
codes.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import signal
import sys
import tempfile

import click

from slimbake import __version__
from slimbake.console import harmless
from slimbake.errors import INTERRUPTED, ManifestError, SlimbakeError
from slimbake.host.files import scratch

# Each command lies in a module of its own, loaded only when it is called: start-up is part of every
# command's time.
COMMANDS = {
    "init": "write a manifest from what a repository has",
    "validate": "read and check the manifest",
    "lock": "resolve the exact packages of each layer",
    "fetch": "bring every file of the locks to this machine",
    "plan": "show what is decided: targets, edges, layers",
    "generate": "write the bake file and the Dockerfiles",
    "bake": "build, check, then tag the images",
    "prove": "try passes, and keep what is found as evidence",
    "census": "compare all that images offer with the same without passes",
    "why": "say which pass removed a file of an image",
    "cold": "list or extract the code in cold stores",
    "smoke": "run the services' own checks",
    "parity": "compare models' answers with torch's",
    "verify": "call the running images from outside",
    "sizes": "measure the images",
    "limits": "compare images with what their workloads need",
    "layers": "show the layers of packages, and better ones",
    "advise": "say what is left to do, by bytes saved",
    "passes": "list the size optimisations that are known",
    "sbom": "say what an image holds, as CycloneDX",
    "diff": "name the first file in which two images differ",
    "search": "find what else can go from the layers",
    "fingerprint": "say what targets depend on, and what changed",
    "matrix": "print the jobs of a pipeline",
    "bases": "build and push what services share",
    "summary": "say what a pipeline built, in Markdown",
    "add": "add a service to the manifest",
    "up": "run the services on one network",
    "down": "end what `up` started",
    "digests": "print what was released, for what deploys it",
    "compose": "write the services for a compose file of your own",
    "logs": "show what services have written",
    "run": "run one service's command on that network",
    "debug": "open a shell in a service's image",
    "probes": "print healthchecks as Kubernetes probes",
    "prune": "remove what slimbake left in the engine",
    "setup": "find or install the engine",
    "doctor": "report what a bake needs and lacks",
    "schema": "print the manifest's JSON Schema",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"slimbake.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="slimbake")
def slimbake() -> None:
    """One manifest in, a fleet of slim, proven Python ML images out."""


def main() -> int:
    """Run the command line; the exit code says what happened (README.md)."""
    # A build is a process of its own that has to be ended with us, whether a person or a CI system
    # ends us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` ignores it
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    # Nearly all that a command makes lives to its end. Looking for garbage meanwhile costs 2 % of a
    # short one; at the end, where Python looks through everything once more, 20 %.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    try:
        with scratch():
            return int(slimbake.main(standalone_mode=False) or 0)
    except ManifestError as error:
        for problem in error.problems:
            _say(str(problem))
        _say(error.message)
        return error.exit_code
    except SlimbakeError as error:
        _say(f"slimbake: {error.message}")
        for line in error.hint.splitlines():
            _say(f"  {line}")
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: the same command goes on from here", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone; Python would complain once more at exit
        return 0
    except Exception as error:
        from slimbake.host.faults import fault_of

        if fault := fault_of(error):
            _say(f"slimbake: {fault.message}\n  {fault.hint}")
            return fault.exit_code
        return _bug(error)


def _say(text: str) -> None:
    click.echo(harmless(text), err=True)


def _bug(error: Exception) -> int:
    """Say that slimbake is at fault, and keep what a developer needs."""
    import traceback

    _say(f"slimbake: a bug: {type(error).__name__}: {error}")
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="slimbake-", suffix=".log", delete=False
        ) as log:
            traceback.print_exception(error, file=log)
    except OSError:  # no folder for it, or a full one
        traceback.print_exception(error)
    else:
        click.echo(f"  please report it with {log.name}", err=True)
    return 1
