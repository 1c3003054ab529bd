"""The stand-in of Python: its recipe, and what is done where mmdebstrap or the engine fails."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import DEBIAN, MIRROR, SECURITY, debian
from tests.unit.processes import Processes, faked, programs

from slimbake import docker
from slimbake.console import QUIET, Console
from slimbake.errors import SetupError
from slimbake.externals import standin
from slimbake.externals.standin import fetch_options, overlay_tar, python_standin, recipe
from slimbake.host.apt import AptSource, parse_deb822

REFERENCE = "slimbake-standin/python:3.11-trixie"
DUMP = """\
Acquire "";
Acquire::Check-Valid-Until "false";
Acquire::http "";
Acquire::http::Proxy "http://ann:secret@proxy:3128";
Acquire::Languages "";
"""


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Processes:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    programs(monkeypatch, installed=True)
    processes = faked(monkeypatch)
    processes.answer("apt-config dump", DUMP)
    return processes


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the engine was given to import: tar file, name, changes and platform."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(docker, "import_image", lambda *words: found.append(words))
    return found


def images(processes: Processes, label: str | None) -> None:
    if label is None:
        processes.answer("docker image inspect", stderr="No such image", code=1)
    else:
        held = {"Id": "sha256:1", "Config": {"Labels": {"slimbake.standin": label}}}
        processes.answer("docker image inspect", json.dumps(held))


def test_python_3_11_comes_from_bookworm_on_a_trixie_root_and_its_image_knows_trixie_only() -> None:
    made = recipe("3.11", DEBIAN, DUMP)
    main, security = parse_deb822(made.build_sources)
    assert main.uris == MIRROR.uris
    assert main.suites == ("trixie", "trixie-updates", "bookworm", "bookworm-updates")
    assert main.components == ("main",)
    assert security.suites == ("trixie-security", "bookworm-security")
    assert [source.suites for source in parse_deb822(made.image_sources)] == [
        ("trixie", "trixie-updates"),
        ("trixie-security",),
    ]
    assert made.reference == REFERENCE


def test_an_older_debian_gives_the_same_suites_from_its_own_mirror() -> None:
    bookworm = debian(apt_sources=(replace(MIRROR, suites=("bookworm",), signed_by=""),))
    (main,) = parse_deb822(recipe("3.13", bookworm, "").build_sources)
    assert main.suites == ("trixie",)
    assert main.signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_a_folder_of_packages_on_this_machine_is_no_mirror() -> None:
    folder = AptSource(uris=("file:/srv/packages",), suites=("trixie",), trusted=True)
    assert (
        "file:"
        not in recipe("3.11", debian(apt_sources=(folder, MIRROR, SECURITY)), "").build_sources
    )


def test_a_version_that_debian_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(
        SetupError, match=r"no stand-in for Python 3\.12: Debian has 3\.11 and 3\.13"
    ):
        recipe("3.12", DEBIAN, "")


def test_a_machine_without_a_mirror_of_debian_is_reported() -> None:
    noble = replace(MIRROR, uris=("http://mirror.example/ubuntu",), suites=("noble",))
    with pytest.raises(SetupError, match="no mirror of Debian"):
        recipe("3.11", debian(system="ubuntu", apt_sources=(noble,)), "")


def test_what_the_mirror_needs_goes_into_the_image_and_what_the_way_to_it_needs_does_not() -> None:
    assert recipe("3.11", DEBIAN, DUMP).apt_options == ('Acquire::Check-Valid-Until "false";',)
    assert fetch_options(DUMP) == ('Acquire::http::Proxy "http://ann:secret@proxy:3128";',)


@pytest.mark.parametrize(
    "changed",
    [
        debian(apt_sources=(replace(MIRROR, uris=("http://other.example/debian",)), SECURITY)),
        debian(apt_sources=(MIRROR,)),
    ],
)
def test_another_mirror_is_another_recipe(changed: object) -> None:
    first = recipe("3.11", DEBIAN, DUMP)
    assert recipe("3.11", DEBIAN, DUMP).digest == first.digest
    assert recipe("3.11", changed, DUMP).digest != first.digest  # type: ignore[arg-type]


def test_python3_is_linked_ahead_of_debians_own() -> None:
    content = overlay_tar(recipe("3.11", DEBIAN, ""))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getmember("usr/local/bin/python3").linkname == "/usr/bin/python3.11"
        assert {member.uid for member in tar} == {0}


def test_a_standin_whose_recipe_is_the_same_is_not_made_again(
    processes: Processes, imported: list[tuple[Any, ...]]
) -> None:
    images(processes, recipe("3.11", DEBIAN, DUMP).digest)
    assert python_standin("3.11", DEBIAN, QUIET) == REFERENCE
    assert not [line for line in processes.started if line.startswith("mmdebstrap")]
    assert imported == []


def test_a_standin_is_made_where_there_is_none_or_an_outdated_one(
    processes: Processes, imported: list[tuple[Any, ...]]
) -> None:
    for label in (None, "of an older recipe"):
        imported.clear()
        images(processes, label)
        processes.answer("mmdebstrap")
        said: list[str] = []
        assert python_standin("3.11", DEBIAN, Console(said.append)) == REFERENCE
        ((root, name, changes, platform),) = imported
        assert f"LABEL slimbake.standin={recipe('3.11', DEBIAN, DUMP).digest}" in changes
        assert (root.name, name, platform) == ("root.tar", REFERENCE, "")
        assert len(said) == 2


def test_mmdebstrap_gets_the_proxy_for_its_own_run_only(
    processes: Processes, imported: list[tuple[Any, ...]]
) -> None:
    images(processes, None)
    processes.answer("mmdebstrap")
    python_standin("3.11", DEBIAN, QUIET)
    (made,) = [line for line in processes.started if line.startswith("mmdebstrap")]
    assert "secret" not in made
    assert 'rm "$1"/etc/apt/apt.conf.d/00slimbake-fetch' in made
    assert "--aptopt=Acquire::Check-Valid-Until" in made


@pytest.mark.parametrize("failing", ["mmdebstrap", "import"])
def test_a_failure_carries_the_last_words_and_leaves_no_folder(
    processes: Processes, failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_image(*_: object) -> None:
        raise SetupError("docker image failed", "first\nE: no space left")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(docker, "import_image", import_image)
    images(processes, None)
    code = 1 if failing == "mmdebstrap" else 0
    processes.answer("mmdebstrap", stderr="first\nE: no space left\n", code=code)
    with pytest.raises(SetupError, match="E: no space left"):
        python_standin("3.11", DEBIAN, QUIET)
    assert not list(tmp_path.glob("slimbake-standin-*"))


@pytest.mark.parametrize(("install", "root"), [(False, True), (True, False)])
def test_without_mmdebstrap_and_leave_to_install_it_what_to_do_is_said(
    processes: Processes, monkeypatch: pytest.MonkeyPatch, install: bool, root: bool
) -> None:
    programs(monkeypatch, installed=False)
    images(processes, None)
    with pytest.raises(SetupError) as caught:
        python_standin("3.11", debian(root=root), QUIET, install)
    assert "apt-get install mmdebstrap" in caught.value.hint


def test_mmdebstrap_is_installed_where_it_may_be_and_lists_are_fetched_where_that_fails(
    processes: Processes, imported: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(monkeypatch, installed=False)
    monkeypatch.setattr("slimbake.host.apt.may_install", lambda root: root)
    images(processes, None)
    for command in ("apt-get", "mmdebstrap"):
        processes.answer(command)
    python_standin("3.11", DEBIAN, QUIET, install=True)
    assert _last_words_of_apt(processes) == ["mmdebstrap"]
    processes.started.clear()
    processes.answer("apt-get -o DPkg::Lock::Timeout=300 install", code=100)
    with pytest.raises(SetupError):
        python_standin("3.11", DEBIAN, QUIET, install=True)
    assert _last_words_of_apt(processes) == ["mmdebstrap", "-qq", "mmdebstrap"]


def _last_words_of_apt(processes: Processes) -> list[str]:
    return [line.split()[-1] for line in processes.started if line.startswith("apt-get")]


def test_another_platform_is_bootstrapped_as_such_under_a_name_of_its_own(
    processes: Processes, imported: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated: list[str] = []
    monkeypatch.setattr(standin, "require_emulation", emulated.append)
    images(processes, None)
    processes.answer("mmdebstrap")
    assert python_standin("3.11", DEBIAN, QUIET, platform="linux/arm64") == f"{REFERENCE}-arm64"
    assert [
        line
        for line in processes.started
        if line.startswith("mmdebstrap") and "--architectures=arm64 " in line
    ]
    assert emulated == [platform for *_, platform in imported] == ["linux/arm64"]


def test_the_recipe_of_this_machine_s_platform_has_no_architecture_in_it() -> None:
    here, there = recipe("3.11", DEBIAN, ""), recipe("3.11", DEBIAN, "", "arm64")
    assert here.digest != there.digest
    assert (here.reference, there.reference) == (REFERENCE, f"{REFERENCE}-arm64")
