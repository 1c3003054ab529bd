"""What works in today's image and not in slimbake's, and what `init` says or does about it."""

from pathlib import Path

import pytest
from tests.unit.adopt.repositories import FILES, PLAIN, draft

HEAD = PLAIN.partition("EXPOSE")[0]


def said(root: Path, files: dict[str, str], dockerfile: str = PLAIN) -> list[str]:
    """What the notes on a service say that slimbake builds."""
    found = draft(root, dockerfile, {**FILES, **files})
    assert found.outcome == "own", found.why
    return [f"{note.place}: {note.what}" for note in found.notes]


DOT = "is copied today, and slimbake leaves out what begins with a dot"


@pytest.mark.parametrize(
    ("files", "notes"),
    [
        ({".env": "A=1\n", ".github/a.yml": "", ".flake8": ""}, [f".env: .env {DOT}"]),
        ({".env": "A=1\n", ".dockerignore": ".env\n"}, []),
        ({".env": "A=1\n", ".dockerignore": "!.env\n"}, []),
        ({".models/a": "", "a.py": "x = '.models/a'\n"}, [f".models/a: .models {DOT}"]),
        ({".web/a": "", "a.py": "import web\n"}, [f".web/a: .web {DOT}"]),
        ({".web/a": "", "tests/test_a.py": "import web\n"}, []),
        ({".env": "", "compose.yaml": "services: {a: {build: ., env_file: .env}}\n"}, []),
    ],
)
def test_files_with_a_dot_that_a_program_reads_are_named(
    tmp_path: Path, files: dict[str, str], notes: list[str]
) -> None:
    assert said(tmp_path, files) == notes


WRITES = "it writes files, and slimbake's image is read-only"


@pytest.mark.parametrize(
    ("line", "notes"),
    [
        ("open('out.csv', 'w')", [f"write.py:2: {WRITES}"]),
        ("DATABASE = 'sqlite:///app.db'", [f"write.py:2: {WRITES}"]),
        ("os.makedirs(FOLDER, exist_ok=True)", [f"write.py:2: {WRITES}"]),
        ("Path('logs').mkdir()", [f"write.py:2: {WRITES}"]),
        ("# os.makedirs(FOLDER)", []),
        ("open('in.csv')", []),
        ("open('/data/out.csv', 'w')", []),
        ("os.makedirs('/tmp/x')", []),
        ("DATABASE = 'sqlite:////data/app.db'", []),
    ],
)
def test_a_program_that_writes_into_its_folder_is_named(
    tmp_path: Path, line: str, notes: list[str]
) -> None:
    assert said(tmp_path, {"write.py": f"import os\n{line}\n"}) == notes


def test_a_kept_dockerfile_has_none_of_these_notes(tmp_path: Path) -> None:
    files = {"write.py": "open('a.csv', 'w')\n", ".env": "A=1\n", "requirements.txt": "--odd\n"}
    found = draft(tmp_path, PLAIN, {**FILES, **files})
    assert (found.outcome, found.notes) == ("kept", ())


@pytest.mark.parametrize(
    ("line", "notes"),
    [
        ("open('out/a.csv', 'w')", []),
        ("os.makedirs(FOLDER)", []),
        ("DATABASE = 'sqlite:///./app.db'", [f"write.py:1: {WRITES}"]),
    ],
)
def test_what_is_mounted_in_the_folder_is_what_the_program_writes_to(
    tmp_path: Path, line: str, notes: list[str]
) -> None:
    text = f'{HEAD}VOLUME /app/out\nCMD ["python", "write.py"]\n'
    assert said(tmp_path, {"write.py": f"{line}\n"}, text) == notes


PROJECT = '[project]\nname = "shop"\nversion = "1"\n'


@pytest.mark.parametrize(
    ("install", "build", "package", "path"),
    [
        ("pip install -e .", "", "shop", "/app"),
        ("pip install -e .", "", "src/shop", "/app/src"),
        ("uv sync", "setuptools.build_meta", "src/shop", "/app/src"),
        ("uv sync --no-editable", "setuptools.build_meta", "src/shop", ""),
        ("uv sync", "hatchling.build", "src/shop", ""),
        ("pip install .", "", "shop", ""),
    ],
)
def test_an_editable_install_of_setuptools_runs_from_its_checkout(
    tmp_path: Path, install: str, build: str, package: str, path: str
) -> None:
    backend = f'[build-system]\nrequires = []\nbuild-backend = "{build}"\n' if build else ""
    files = {"pyproject.toml": PROJECT + backend, f"{package}/__init__.py": "", "more/a.py": ""}
    text = f'FROM python:3.12\nWORKDIR /srv\nCOPY . .\nRUN {install}\nCMD ["shop"]\n'
    found = draft(tmp_path, text, files)
    assert found.entry["requirements"] == ["."]
    assert found.entry.get("env", {}) == ({"PYTHONPATH": path} if path else {})
