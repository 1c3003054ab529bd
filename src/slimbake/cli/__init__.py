"""The command line: turns words into calls of the stages, results into text, failures into exit
codes.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
import tempfile

import click

from slimbake import __version__
from slimbake.cli.commands import COLOR, LazyGroup
from slimbake.console import fitting, harmless
from slimbake.errors import INTERRUPTED, ManifestError, SlimbakeError
from slimbake.host.files import scratch


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="slimbake")
def slimbake() -> None:
    """Build small Docker images of Python services from one file, services.yaml.

    `slimbake COMMAND --help` shows a command's options, with examples.
    """


def main() -> int:
    """Run the command line; the exit code says what happened (README.md)."""
    _three_streams()
    # A build is a process of its own that has to be ended with us, whether a person or a CI system
    # ends us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` ignores it
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    # Nearly all that a command makes lives to its end. Looking for garbage as often as Python does
    # costs 2 % of a short one; at the end, where it looks through everything once more, 20 %. Less
    # often than this, what templates leave takes memory of a large fleet.
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)
    try:
        with scratch():
            return int(slimbake.main(standalone_mode=False, color=COLOR) or 0)
    except ManifestError as error:
        for line in error.lines():
            _tell(line)
        _say(error.message, "red")
        return error.exit_code
    except SlimbakeError as error:
        from slimbake.externals.doctor import without_engine

        reason = without_engine(error)
        _tell("\n  ".join((f"slimbake: {reason.message}", *reason.hint.splitlines())))
        return reason.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", color=COLOR)
        return error.exit_code
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        usage, _, message = shown.getvalue().rstrip("\n").partition("Error: ")
        _say(usage, end="")
        _say(f"Error: {message}", "red")
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
            _tell(f"slimbake: {fault.message}\n  {fault.hint}")
            return fault.exit_code
        return _bug(error)


def _three_streams() -> None:
    """Have stdin, stdout and stderr where whoever started us closed one (`>&-`): a file that we write
    would else take its place, and get what was meant for it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(number, True)
    os.close(number)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def _say(text: str, fg: str | None = None, end: str = "\n") -> None:
    """A text on stderr, in colour where that is a terminal."""
    shown = fitting(harmless(text))
    click.echo((click.style(shown, fg) if fg else shown) + end, err=True, nl=False, color=COLOR)


def _tell(text: str) -> None:
    """A failure: what happened in red, and below it what to do."""
    what, line, hint = text.partition("\n  ")
    _say(what, "red")
    if line:
        _say(f"  {hint}", "cyan")


def _bug(error: Exception) -> int:
    """Say that slimbake is at fault, and keep what a developer needs."""
    import traceback

    _say(f"slimbake: a bug: {type(error).__name__}: {error}")
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="slimbake-", suffix=".log", delete=False, errors="backslashreplace"
        ) as log:
            traceback.print_exception(error, file=log)
    except OSError:  # no folder for it, or a full one
        traceback.print_exception(error)
    else:
        click.echo(f"  please report it with {log.name}", err=True)
    return 1
