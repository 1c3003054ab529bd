"""`slimbake ci`."""

from __future__ import annotations

import click

from slimbake.cli.commands import CI, LazyGroup, examples


@click.group(
    "ci",
    cls=LazyGroup,
    package="slimbake.cli.ci",
    groups=CI,
    guesses={"matrix": "plan", "jobs": "plan", "bases": "shared", "report": "summary"},
    epilog=examples("slimbake ci plan", "slimbake ci plan --since main"),
)
def command() -> None:
    """The steps of a pipeline, which the generated workflows run.

    `plan` says which jobs build what, `shared` builds what they share, `released` lists what is
    signed, `summary` says what they built.
    """
