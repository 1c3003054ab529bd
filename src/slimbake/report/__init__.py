"""`slimbake report`: what is recorded of a fleet, as one HTML file that needs nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from slimbake.ci.model import Record
from slimbake.errors import SetupError
from slimbake.host.files import write_atomically
from slimbake.project import Project
from slimbake.report.facts import recorded_facts

PAGE = "report.html"


def write_report(
    project: Project, records: Sequence[Record], file: Path | None
) -> tuple[Mapping[str, Any], Path]:
    """Write the page; what is in it, and where it lies. `records`: what jobs built, which wins over
    what this machine knows; `file`: None for the workspace, which Git ignores.

    Raises SetupError without the library that draws, OSError where the file cannot be written.
    """
    drawing = _plotly()
    facts = recorded_facts(project, records)
    text = page(facts, drawing)
    if file is None:
        project.workspace.write_text(PAGE, text)
        return facts, project.workspace.path(PAGE)
    write_atomically(file, text.encode())
    return facts, file


def page(facts: Mapping[str, Any], drawing: str) -> str:
    """The whole page. `drawing`: the library, as JavaScript."""
    own = resources.files(__name__)
    data = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "STYLE": (own / "page.css").read_text("utf-8"),
        "DATA": data,
        "SCRIPT": (own / "page.js").read_text("utf-8"),
        "LIBRARY": drawing,
    }
    return re.sub(
        "@@([A-Z]+)@@", lambda place: parts[place[1]], (own / "page.html").read_text("utf-8")
    )


def _plotly() -> str:
    # Its Python is not needed, nor what that depends on.
    found = find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        extra = 'extra == "report"'
        wanted = (each for each in requires("slimbake") or () if extra in each.replace("'", '"'))
        named = " ".join(f"'{each.partition(';')[0].strip()}'" for each in wanted)
        raise SetupError("`slimbake report` draws with plotly", f"pip install {named}")
    folder = Path(found.submodule_search_locations[0])
    return (folder / "package_data/plotly.min.js").read_text("utf-8")
