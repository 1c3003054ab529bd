"""Small repositories in a folder, and what `init` makes of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slimbake.adopt.init import InitRequest, Started, start
from slimbake.adopt.model import Draft
from slimbake.adopt.services import adoption
from slimbake.adopt.survey import survey
from slimbake.config import manifest

APP = "from fastapi import FastAPI\n\napp = FastAPI()\n"
PLAIN = """\
FROM python:3.12-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
EXPOSE 8000
CMD ["uvicorn", "main:app", "--host", "0.0.0.0"]
"""
HEAD = "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\n"
CMD = 'CMD ["python", "main.py"]\n'
FILES = {"requirements.txt": "fastapi\nuvicorn\n", "main.py": APP}


def written(root: Path, files: Mapping[str, str]) -> Path:
    """The folder with these files; those that begin with `#!` are executable."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if text.startswith("#!"):
            path.chmod(0o755)
    return root


def started(root: Path, files: Mapping[str, str] = {}, **asked: Any) -> Started:
    """What `init` decides, whose manifest the reader takes."""
    decided = start(written(root, files) / "services.yaml", InitRequest(**asked))
    (root / "services.yaml").write_text(decided.text)
    manifest(root / "services.yaml")
    (root / "services.yaml").unlink()
    return decided


def drafts(root: Path, files: Mapping[str, str]) -> dict[str, Draft]:
    """The services of a repository, by name, before the manifest's reader sees them."""
    return {each.name: each for each in adoption(survey(written(root, files))).drafts}


def draft(root: Path, dockerfile: str, files: Mapping[str, str] = FILES) -> Draft:
    """The only service of a repository with this Dockerfile."""
    decided = started(root / "shop", {"Dockerfile": dockerfile, **files})
    [found] = decided.drafts
    return found


def why(root: Path, dockerfile: str, files: Mapping[str, str] = FILES) -> str:
    """Why a Dockerfile is kept: the line, and what it says."""
    found = draft(root, dockerfile, files)
    assert found.outcome == "kept"
    assert found.why
    return f"{found.why[0].place}: {found.why[0].what}"


def entry(root: Path, dockerfile: str, files: Mapping[str, str] = FILES) -> dict[str, Any]:
    """The entry of a service that slimbake builds."""
    found = draft(root, dockerfile, files)
    assert found.outcome != "kept", found.why
    return found.entry


def part(entry: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of an entry that another one has; None for each that it lacks."""
    return {key: entry.get(key) for key in like}
