"""`slimbake ci`."""

from __future__ import annotations

import click

from slimbake.cli.commands import CI, LazyGroup, examples


@click.group(
    "ci",
    cls=LazyGroup,
    package="slimbake.cli.ci",
    groups=CI,
    epilog=examples("slimbake ci plan", "slimbake ci plan --since main"),
)
def command() -> None:
    """The steps of a pipeline, which the generated workflows run.

    `plan` says which jobs build what, `shared` builds what they share, `job` builds on that,
    `released` lists what is signed, `summary` says what they built.
    """
