"""What `check` finds stale, words of programs, images that are not there, what `up` says."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import click
import pytest
from click.testing import CliRunner
from tests.unit.cli.toys import toy

from slimbake import docker
from slimbake.cli import common, slimbake
from slimbake.cli.common import arguments_argument, held_images
from slimbake.deploy import compose
from slimbake.docker import images
from slimbake.docker.images import EngineImage
from slimbake.errors import SetupError, StaleFiles, UsageError


def test_check_counts_in_words_and_names_what_is_stale(tmp_path: Path) -> None:
    done = CliRunner().invoke(slimbake, ["check", "--manifest", str(toy(tmp_path))])
    assert done.stdout == "services.yaml: 1 service, 0 bases, 3 targets\n"
    assert isinstance(done.exception, StaleFiles)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--", "id", "-u"], ("id", "-u")),
        (["sh", "-c", "--"], ("sh", "-c", "--")),
        (["--help"], ("--help",)),
        ([], ()),
    ],
)
def test_arguments_may_follow_two_dashes(words: list[str], given: tuple[str, ...]) -> None:
    @click.command(
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
    )
    @click.argument("service")
    @arguments_argument
    def command(service: str, arguments: tuple[str, ...]) -> None:
        click.echo((service, arguments))

    assert CliRunner().invoke(command, ["api", *words]).output == f"{('api', given)}\n"


@pytest.mark.parametrize("names", [("api",), ("oci-layout://there",)])
def test_a_record_of_sizes_loses_no_service(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(slimbake, ["sizes", "--record", *names])
    assert isinstance(done.exception, UsageError)
    assert done.exception.message == "--record is of all services of a manifest"
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("every", "built", "found", "said"),
    [
        (True, ("one", "two"), ("one", "two"), []),
        (True, ("one",), ("one",), ["left out, as they were not baked yet: two"]),
        (True, (), (), []),
        (False, ("one",), (), []),
    ],
)
def test_where_nobody_named_services_those_that_were_not_baked_are_left_out(
    every: bool,
    built: tuple[str, ...],
    found: tuple[str, ...],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty: dict[str, Any] = {
        "digests": (),
        "labels": {},
        "entrypoint": (),
        "command": (),
        "layers": (),
    }
    held = {f"{name}:1": EngineImage(id=f"sha256:{name}", **empty) for name in built}
    lines: list[str] = []
    monkeypatch.setattr(images, "find_image", held.get)
    monkeypatch.setattr(docker, "find_image", held.get)
    monkeypatch.setattr(common.console, "say", lines.append)
    names = {"one": "one:1", "two": "two:1"}
    if found:
        assert held_images(names, optional=every) == {name: f"sha256:{name}" for name in found}
    else:
        with pytest.raises(SetupError, match="the engine has no image of"):
            held_images(names, optional=every)
    assert lines == said


def test_up_names_what_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compose, "up", Mock(return_value=(("api",), ("db",))))
    assert CliRunner().invoke(slimbake, ["up"]).stdout == (
        "up: api; `slimbake down` stops them all and removes their containers\n"
        "with them, of your own compose file: db\n"
    )
