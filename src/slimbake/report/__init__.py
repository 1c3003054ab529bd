"""`slimbake report`: what is known of a fleet's images, as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from slimbake.console.tables import counted, readable
from slimbake.host.files import write_atomically
from slimbake.inside.lines import some
from slimbake.project import Project
from slimbake.report.facts import recorded_facts

PAGE = "report.html"


def write_report(project: Project, file: Path | None) -> tuple[Mapping[str, Any], Path]:
    """Write the page; what is in it, and where it lies. `file`: None for the workspace, which Git
    ignores.

    Raises OSError where the file cannot be written.
    """
    facts = recorded_facts(project)
    text = page(facts)
    if file is None:
        project.workspace.write_text(PAGE, text)
    else:
        write_atomically(file, text.encode())
    return facts, file or project.workspace.path(PAGE)


def page(facts: Mapping[str, Any]) -> str:
    """The whole page. Names come from images and manifests: the template escapes all that it gets,
    and the page's policy allows this style and this script alone.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"counted": counted, "readable": readable, "some": some}
    folder = resources.files(__name__)
    parts = {name: (folder / f"page.{name}").read_text("utf-8") for name in ("css", "js", "html")}
    return environment.from_string(parts["html"]).render(
        facts,
        style=parts["css"],
        script=parts["js"],
        allowed={name: _allowed(text) for name, text in parts.items()},
    )


def _allowed(text: str) -> str:
    """What a Content-Security-Policy calls an inline style or script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
