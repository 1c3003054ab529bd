"""A manifest in, its values out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from slimbake.config import manifest
from slimbake.config.compose import defined
from slimbake.config.model import Ci, Manifest, ServiceEntry
from slimbake.errors import ManifestError

HEAD = 'project: atlas\npython: "3.11"\n'


def read(folder: Path, text: str, files: Mapping[str, str] | None = None) -> Manifest:
    for name, content in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "services.yaml").write_text(text)
    return manifest(folder / "services.yaml")


def service(folder: Path, text: str, files: Mapping[str, str] | None = None) -> ServiceEntry:
    """The only service of a manifest; `text` are its keys, `api` is its folder."""
    entry = "".join(f"    {line}\n" for line in text.splitlines())
    all_files = {"api/app.py": "", **(files or {})}
    text = f"{HEAD}services:\n  api:\n    context: api\n{entry}"
    return read(folder, text, all_files).services[0]


def problems(folder: Path, text: str, files: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        service(folder, text, files)
    return [str(each) for each in caught.value.problems]


def test_the_smallest_manifest_says_nothing_but_its_name(tmp_path: Path) -> None:
    smallest = Manifest(file=tmp_path / "services.yaml", project="atlas", python="3.11")
    assert read(tmp_path, f"{HEAD}services: {{}}\n") == smallest
    assert read(tmp_path, f"\ufeff{HEAD}services: {{}}\n") == smallest, "a byte order mark is none"
    assert read(tmp_path, f"{HEAD}ci: {{}}\nservices: {{}}\n") == replace(smallest, ci=Ci())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_requirements_file_is_read_as_its_byte_order_mark_says(
    tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "freeze.txt").write_bytes("requests==2.32.5\r\n".encode(encoding))
    found = service(tmp_path, "requirements: [freeze.txt]")
    assert found.requirements.specs == ("requests==2.32.5",)


def test_utf_16_that_breaks_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "freeze.txt").write_bytes("a\nb".encode("utf-16")[:-1])
    (said,) = problems(tmp_path, "requirements: [freeze.txt]")
    assert "'freeze.txt' is no UTF-16" in said


@pytest.mark.parametrize(
    ("path", "why"), [("nothing", "has no"), ("../b", "outside"), ("3", "the number 3")]
)
def test_include_names_what_is_in_the_context(tmp_path: Path, path: str, why: str) -> None:
    (said,) = problems(tmp_path, f"include: [{path}]", {"b/x.py": ""})
    assert why in said


def test_links_that_go_round_in_circles_are_reported(tmp_path: Path) -> None:
    (tmp_path / "api").symlink_to("other")
    (tmp_path / "other").symlink_to("api")
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, HEAD + "services:\n  api: {context: api}\n")
    assert "cannot be read" in str(caught.value.problems[0])


def test_a_relative_manifest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(tmp_path, HEAD + "services: {}\n")
    monkeypatch.chdir(tmp_path)
    assert manifest(Path("services.yaml")).file == tmp_path / "services.yaml"


def test_a_faulty_entry_does_not_make_others_unknown(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        read(
            tmp_path,
            HEAD + "bases:\n  web:\nservices:\n  api: {context: api, base: web}\n",
            {"api/app.py": ""},
        )
    assert [each.path for each in caught.value.problems] == ["bases.web"]


def test_a_long_or_unprintable_value_stays_one_short_line(tmp_path: Path) -> None:
    (text,) = problems(tmp_path, f'smoke: "a\\nb\\e[31m{"x" * 10_000}"')
    first, *_ = text.splitlines()
    assert "a\\nb\\x1b[31mxxx" in first
    assert len(first) < 500


def test_a_value_that_may_be_the_secret_itself_is_not_repeated(tmp_path: Path) -> None:
    found = problems(
        tmp_path, 'secrets: {a: {env: "s3cret word"}, b: s3cret, c: {value: s3cret}, d: [s3cret]}'
    )
    assert len(found) == 4
    assert not any("s3cret" in each for each in found)


def test_the_tags_of_compose_are_read() -> None:
    text = (
        "services:\n  db: {image: postgres, ports: !reset [], command: !override [a]}\n"
        "  web: {build: .}\n  old: !reset null\n"
    )
    found = defined("compose.yaml", text)
    assert found.services == {"db", "web", "old"}
    assert found.built == {"web"}


def test_overrides_of_uv_and_constraints_of_a_list_are_read(tmp_path: Path) -> None:
    project = '[project]\nname = "api"\ndependencies = ["requests"]\n[tool.uv]\n'
    files = {
        "api/pyproject.toml": f'{project}override-dependencies = ["idna>=3"]\n',
        "pins.txt": "urllib3==2.5.0\n",
    }
    listed = 'requirements: [api/pyproject.toml, "-c pins.txt"]'
    asked = service(tmp_path, listed, files).requirements
    assert asked.specs == ("requests",)
    assert asked.overrides == ("idna>=3",)
    assert [each.spec for each in asked.constraints] == ["urllib3==2.5.0"]
    files["api/pyproject.toml"] = f'{project}override-dependencies = ["idna 3"]\n'
    with pytest.raises(ManifestError) as caught:
        service(tmp_path, listed, files)
    assert "'idna 3' is no requirement" in str(caught.value.problems)


MEMBER = "[tool.uv.sources]\nrequests = {workspace = true}\n[tool.uv.workspace]\nmembers = "
LENIENT = (
    '[tool.uv]\nindex = "x"\n',
    '[tool.poetry]\nsource = ["x"]\n',
    '[tool.uv]\nindex = ["x"]\n[tool.uv.sources]\nrequests = {index = ["a"]}\n',
)
REFUSED = {
    '[tool.poetry.dependencies]\nrequests = {git = "https://x/y", extras = true}\n': "are no list",
    f'{MEMBER}["libs/**x"]\n': "has `**` beside other characters",
    f'{MEMBER}["."]\n': "is no member of the workspace",
}


@pytest.mark.parametrize("text", [*LENIENT, *REFUSED])
def test_a_faulty_project_ends_in_words(tmp_path: Path, text: str) -> None:
    project = '[project]\nname = "api"\ndependencies = ["requests"]\n'
    if "poetry.dependencies" in text:
        project = ""
    files = {"pyproject.toml": project + text}
    if text in LENIENT:
        found = service(tmp_path, "requirements: [pyproject.toml]", files)
        assert found.requirements.specs == ("requests",)
        return
    (said,) = problems(tmp_path, "requirements: [pyproject.toml]", files)
    assert REFUSED[text] in said


def test_files_that_include_one_another_are_refused(tmp_path: Path) -> None:
    files = {"r.txt": "idna\n-c c.txt\n", "c.txt": "-c c.txt\nidna<4\n"}
    (said,) = problems(tmp_path, "requirements: [r.txt]", files)
    assert said.startswith("c.txt:1:1: 'c.txt' includes itself")
    project = (
        '[project]\nname = "api"\ndynamic = ["dependencies"]\noptional-dependencies = {x = []}\n'
    )
    project += '[tool.setuptools.dynamic]\ndependencies = {file = "r.txt"}\n'
    files = {"r.txt": "-r pyproject.toml[x]\n", "pyproject.toml": project}
    (said,) = problems(tmp_path, "requirements: [r.txt]", files)
    assert "includes itself" in said
