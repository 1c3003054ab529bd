"""What a Dockerfile's .dockerignore leaves out, left out of the folder that becomes /app, too."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.adopt.ignored import patterns_in
from slimbake.adopt.init import InitRequest, init, start
from slimbake.config import manifest
from slimbake.console import QUIET
from slimbake.host.dockerignore import Ignore

DOCKERFILE = (
    "FROM python:3.13-slim\nWORKDIR /app\nCOPY services/{0}/requirements.txt .\n"
    "RUN pip install -r requirements.txt\nCOPY services/{0} .\n"
    'CMD ["python", "main.py"]\n'
)
HEAD = "# Written by `slimbake init`, from {}: slimbake reads the file of this folder.\n"


def repository(root: Path, *services: str, ignore: str, context: str = ".") -> Path:
    """Services whose Dockerfiles are built with the repository as their context."""
    (root / ".dockerignore").write_text(ignore)
    compose = ["services:"]
    for name in services:
        folder = root / "services" / name
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(DOCKERFILE.format(name))
        (folder / "requirements.txt").write_text("httpx\n")
        (folder / "main.py").write_text("print(1)\n")
        build = f"{{context: {context}, dockerfile: services/{name}/Dockerfile}}"
        compose += [f"  {name}:", f"    build: {build}"]
    (root / "compose.yaml").write_text("\n".join(compose) + "\n")
    return root / "services.yaml"


def test_patterns_of_the_root_s_dockerignore_follow_into_a_service_s_folder(tmp_path: Path) -> None:
    file = repository(
        tmp_path,
        "one",
        "two",
        ignore="# keys\n**/gcp-key.json\nservices/one/secret\nservices/*/big\n*.md\n.git\ntwo\n"
        "**/__pycache__\n**/.venv\n",
    )
    init(file, InitRequest(), QUIET)
    one = (tmp_path / "services/one/.dockerignore").read_text()
    assert one == HEAD.format(".dockerignore") + "**/gcp-key.json\nsecret\nbig\n"
    two = (tmp_path / "services/two/.dockerignore").read_text()
    assert two == HEAD.format(".dockerignore") + "**/gcp-key.json\nbig\n"
    assert [each.ignore for each in manifest(file).services] == [
        ("**/gcp-key.json", "secret", "big"),
        ("**/gcp-key.json", "big"),
    ]


def test_a_dockerignore_beside_the_dockerfile_wins_over_the_root_s(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", ignore="**/of-the-root\n")
    (tmp_path / "services/one/Dockerfile.dockerignore").write_text("services/one/key.json\n")
    files = start(file, InitRequest()).files
    origin = "services/one/Dockerfile.dockerignore"
    assert files["services/one/.dockerignore"] == HEAD.format(origin) + "key.json\n"


def test_a_list_of_what_is_sent_stays_one(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", ignore="*\n!services/one\nservices/one/*.pem\n!**/ca.pem\n")
    files = start(file, InitRequest()).files
    assert files["services/one/.dockerignore"].splitlines()[1:] == ["*.pem", "!**/ca.pem"]


def test_a_dockerignore_that_is_there_stays_and_a_note_lists_what_it_lacks(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", ignore="**/key.json\nservices/one/big\n")
    own = tmp_path / "services/one/.dockerignore"
    own.write_text("/big\n")
    decided = start(file, InitRequest())
    assert "services/one/.dockerignore" not in decided.files
    [note] = [note for note in decided.drafts[0].notes if note.place.file == ".dockerignore"]
    assert str(note) == (
        ".dockerignore: what it leaves out of services/one: **/key.json\n"
        "  slimbake reads services/one/.dockerignore alone, and `init` changes no file: add these"
        " lines there"
    )
    own.write_text("big\n**/key.json\n")
    assert not any("leaves out" in note.what for note in start(file, InitRequest()).drafts[0].notes)


def test_a_folder_that_is_another_build_s_context_gets_no_file(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", ignore="**/key.json\n")
    with (tmp_path / "compose.yaml").open("a") as compose:
        compose.write("  other:\n    build: {context: services/one, dockerfile: Other}\n")
    (tmp_path / "services/one/Other").write_text(
        'FROM python:3.13-slim\nWORKDIR /app\nCOPY . .\nCMD ["python", "main.py"]\n'
    )
    decided = start(file, InitRequest())
    assert "services/one/.dockerignore" not in decided.files
    one = next(each for each in decided.drafts if each.name == "one")
    assert "what it leaves out of services/one: **/key.json" in {each.what for each in one.notes}


def test_the_root_as_context_keeps_its_own_file(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", ignore="**/key.json\n")
    (tmp_path / "services/one/Dockerfile").write_text(
        "FROM python:3.13-slim\nWORKDIR /app\nCOPY . .\n"
        "RUN pip install -r services/one/requirements.txt\n"
        'CMD ["python", "services/one/main.py"]\n'
    )
    decided = start(file, InitRequest())
    assert decided.drafts[0].entry["context"] == "."
    assert not [path for path in decided.files if path.endswith(".dockerignore")]
    assert not decided.drafts[0].notes


def test_a_service_that_keeps_its_dockerfile_needs_no_file(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", ignore="**/key.json\n")
    dockerfile = tmp_path / "services/one/Dockerfile"
    dockerfile.write_text("FROM nginx:1.29\nCOPY services/one/main.py /\n")
    decided = start(file, InitRequest())
    assert "dockerfile" in decided.drafts[0].entry
    assert not [path for path in decided.files if path.endswith(".dockerignore")]


def test_what_a_build_is_not_sent_is_no_code_of_the_service(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", ignore="services/one/tools\n")
    (tmp_path / "services/one/tools").mkdir()
    (tmp_path / "services/one/tools/release.py").write_text("import os\nos.system('ls | wc')\n")
    [draft] = start(file, InitRequest()).drafts
    assert "shell" not in draft.entry


@pytest.mark.parametrize("own", [True, False])
def test_a_volume_lies_over_what_the_folder_s_own_file_leaves_out(
    own: bool, tmp_path: Path
) -> None:
    """A manifest is checked before `init` writes that file."""
    context = "services/one" if own else "."
    file = repository(tmp_path, "one", ignore="services/one/media\n", context=context)
    folder = tmp_path / "services/one"
    (folder / "media").mkdir()
    (folder / "media/a.png").touch()
    text = (folder / "Dockerfile").read_text()
    if own:
        (folder / ".dockerignore").write_text("media\n")
        (tmp_path / "compose.yaml").write_text("services: {one: {build: services/one}}\n")
        text = text.replace("services/one/", "").replace("services/one", ".")
    (folder / "Dockerfile").write_text(f"{text}VOLUME /app/media\n")
    [draft] = start(file, InitRequest()).drafts
    assert "dockerfile" not in draft.entry
    assert ("volumes" in draft.entry) is own
    assert any(note.what == "the volume at /app/media" for note in draft.notes) is not own


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("**/x", ["**/x"]),
        ("a/b/x", ["x"]),
        ("a/*/x\n!a/b/x/keep", ["x", "!x/keep"]),
        ("other/x\nx\na/c", []),
        ("a", ["*"]),
        ("x\n*\n!a/b", []),
        ("a/b/*", ["*"]),
        ("*\n!a/b/x", ["*", "!x"]),
        ("a/b/**", ["**"]),
        ("**/b/x", ["**/b/x", "x"]),
        ("**.pem", ["**/*.pem"]),
        (r"a/b/\!x", [r"\!x"]),
        ("a/**/x", ["**/x"]),
        ("!a/b/x", ["!x"]),
    ],
)
def test_patterns_within_a_folder(text: str, lines: list[str]) -> None:
    assert list(patterns_in(text, "a/b")) == lines


NAMES = ("a", "b", "ab")
PATHS = ["/".join(each) for depth in (1, 2, 3) for each in product(NAMES, repeat=depth)]
PIECES = st.sampled_from(["a", "b", "*", "**", "?", "a*", "*b", "a**", "**b", "a**b", "[ab]"])
PATTERNS = st.builds(
    lambda sign, parts: sign + "/".join(parts),
    st.sampled_from(["", "", "!"]),
    st.lists(PIECES, min_size=1, max_size=4),
)


@given(st.lists(PATTERNS, min_size=1, max_size=4), st.sampled_from(["a", "a/b", "ab/a"]))
def test_they_leave_out_what_those_of_the_context_around_it_do(
    patterns: list[str], folder: str
) -> None:
    text = "\n".join(patterns)
    around, inner = Ignore(text), Ignore("\n".join(patterns_in(text, folder)))
    for path in PATHS:
        assert inner.leaves_out(path) == around.leaves_out(f"{folder}/{path}"), path
