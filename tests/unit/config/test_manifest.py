"""A manifest in, its values out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from slimbake.config import manifest
from slimbake.config.compose import defined
from slimbake.config.model import (
    Ci,
    Manifest,
    ServiceEntry,
)
from slimbake.errors import ManifestError
from slimbake.fleet import resolve

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


@pytest.mark.parametrize(("path", "why"), [("nothing", "has no"), ("../b", "outside")])
def test_include_names_what_is_in_the_context(tmp_path: Path, path: str, why: str) -> None:
    (said,) = problems(tmp_path, f"include: ['{path}']", {"b/x.py": ""})
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


@pytest.mark.parametrize(
    ("written", "layers", "limit", "auto"),
    [
        ("", None, None, True),
        ("layers: auto\n", "auto", None, True),
        ("layers: {limit: 8}\n", "auto", 8, True),
        ("layers: none\n", "none", None, False),
        ("bases:\n  web: {requirements: [fastapi]}\n", None, None, True),
        ("bases:\n  web: {requirements: [fastapi]}\nlayers: none\n", "none", None, False),
    ],
)
def test_services_share_what_is_equal_unless_somebody_says_none(
    tmp_path: Path, written: str, layers: str | None, limit: int | None, auto: bool
) -> None:
    services = "".join(f"  {n}: {{context: {n}, requirements: [six]}}\n" for n in "ab")
    files = {"a/app.py": "", "b/app.py": ""}
    found = read(tmp_path, f"{HEAD}{written}services:\n{services}", files)
    assert (found.layers, found.layer_limit, resolve(found).auto) == (layers, limit, auto)


@pytest.mark.parametrize(
    "written",
    ["layers: 8", "layers: yes", "layers: {limit: 3}", "layers: {limit: 101}", "layers: {}"],
)
def test_what_is_no_way_to_have_layers_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, f"{HEAD}{written}\nservices: {{}}\n")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].line == 3


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
