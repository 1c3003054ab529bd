"""Which file is the first to differ between two images, and how."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.unit.layouts import Made, Member, folder, tar, with_toc, write

from slimbake.cli import slimbake
from slimbake.errors import DIFFERENT, UsageError
from slimbake.images.diff import Diff, diff, diff_text

FILES = [
    folder("a"),
    Member("a/one", b"1"),
    Member("a/two", b"2"),
    Member("b", type=tarfile.SYMTYPE, link="a/one"),
]
BASE = tar({"usr/x": b"x"})


def compared(tmp_path: Path, a: Made, b: Made) -> Diff:
    one, two = write(tmp_path / "a", a), write(tmp_path / "b", b)
    return diff(str(one), str(two), "linux/amd64")


def of(*layers: list[Member], **said: Any) -> Made:
    return Made((BASE, *map(tar, layers)), **said)


def changed(number: int, **changes: Any) -> list[Member]:
    return [
        member.but(**changes) if place == number else member for place, member in enumerate(FILES)
    ]


def test_an_image_is_the_same_as_itself(tmp_path: Path) -> None:
    found = compared(tmp_path, of(FILES), of(FILES))
    assert found.equal
    assert diff_text(found) == f"the same image: {found.digests[0]}"


@pytest.mark.parametrize(
    ("layer", "path", "how"),
    [
        (changed(1, content=b"!"), "a/one", ["content"]),
        (changed(2, mode=0o755), "a/two", ["mode"]),
        (changed(2, uid=7), "a/two", ["owner"]),
        (changed(0, mtime=315532801), "a", ["mtime"]),
        (changed(3, link="a/two"), "b", ["link"]),
        (changed(1, mode=0o600, mtime=1), "a/one", ["mode", "mtime"]),
        (changed(2, type=tarfile.DIRTYPE, content=b""), "a/two", ["type", "content"]),
        ([FILES[0], *FILES[2:]], "a/one", ["only in A"]),
        ([*FILES[:2], Member("a/between"), *FILES[2:]], "a/between", ["only in B"]),
    ],
)
def test_the_first_path_that_differs_is_named_and_how(
    tmp_path: Path, layer: list[Member], path: str, how: list[str]
) -> None:
    found = compared(tmp_path, of(FILES), of(layer))
    (difference,) = found.layers
    assert (difference.number, difference.paths) == (2, 1)
    assert [(each.path, each.how) for each in difference.first] == [(path, each) for each in how]
    assert f"layer 2: the first path that differs is {path}\n" in diff_text(found)


def test_the_first_in_the_order_of_the_tar_is_named_and_how_many_more(tmp_path: Path) -> None:
    other = [FILES[0], Member("a/new"), *FILES[1:3], Member("b", b"!")]
    other[3] = other[3].but(mode=0o600)
    found = compared(tmp_path, of(FILES), of(other))
    assert found.layers[0].first[0].path == "a/new"
    assert found.layers[0].paths == 3
    assert "and 2 more paths differ" in diff_text(found)


def test_values_of_both_are_reported(tmp_path: Path) -> None:
    reported = diff_text(
        compared(tmp_path, of(FILES), of(changed(1, mode=0o600, mtime=1795564800)))
    )
    assert "  mode: 0644 / 0600" in reported
    assert "  mtime: 1980-01-01T00:00:00Z / 2026-11-25T00:00:00Z" in reported


def test_another_order_of_the_same_files_is_reported_as_such(tmp_path: Path) -> None:
    found = compared(tmp_path, of(FILES), of([FILES[0], FILES[2], FILES[1], FILES[3]]))
    assert (found.layers[0].first, found.layers[0].paths) == ((), 0)
    assert "in another order" in diff_text(found)


def test_a_layer_that_only_one_has(tmp_path: Path) -> None:
    found = compared(tmp_path, of(FILES), of(FILES, [Member("c", b"c")]))
    assert [(each.number, each.a, each.paths) for each in found.layers] == [(3, "", 1)]
    assert "layer 3: only in B: 1 paths" in diff_text(found)


def test_layers_that_are_the_same_are_not_read(tmp_path: Path) -> None:
    a, b = (
        write(tmp_path / "a", of(FILES)),
        write(tmp_path / "b", of(FILES, config={"created": "now"})),
    )
    for layout in (a, b):
        for path in (layout / "blobs" / "sha256").iterdir():
            if path.read_bytes()[:1] != b"{":
                path.unlink()
    assert [each.path for each in diff(str(a), str(b), "linux/amd64").configuration] == ["created"]


def test_configurations_are_compared_key_by_key(tmp_path: Path) -> None:
    one = {"config": {"Env": ["A=1", "B=2"], "User": "65532"}, "created": "x"}
    two = {"config": {"Env": ["A=1", "B=3", "C=4"], "Cmd": ["x"]}, "created": "x"}
    found = compared(tmp_path, of(FILES, config=one), of(FILES, config=two))
    assert [(each.path, each.a, each.b) for each in found.configuration] == [
        ("config.Env[1]", "B=2", "B=3"),
        ("config.Env[2]", "(none)", "C=4"),
        ("config.User", "65532", "(none)"),
        ("config.Cmd", "(none)", "['x']"),
    ]
    assert not found.layers


def test_the_same_content_compressed_otherwise_is_another_image(tmp_path: Path) -> None:
    found = compared(tmp_path, of(FILES), of(FILES, compression="gzip"))
    assert (found.layers, found.configuration, found.stored) == ((), (), (1, 2))
    assert not found.equal
    assert "layer 1: holds the same in both, and is compressed differently" in diff_text(found)
    assert [each.path for each in found.manifest] == ["layers[0].mediaType", "layers[1].mediaType"]


def test_an_estargz_layer_holds_the_same_files_in_another_tar(tmp_path: Path) -> None:
    listed = Made((BASE, with_toc(tar(FILES))), compression="estargz")
    found = compared(tmp_path, of(FILES, compression="gzip"), listed)
    assert "layer 2: holds the same in both, in another order" in diff_text(found)


def test_an_address_of_several_images_is_refused(tmp_path: Path) -> None:
    layout = write(tmp_path / "a", of(FILES), of(FILES[:2], name="x/two:latest"))
    with pytest.raises(UsageError, match="holds 2 images: one, two"):
        diff(str(layout), str(layout), "linux/amd64")


def test_the_command_ends_with_0_or_8_and_has_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (
        str(write(tmp_path / "a", of(FILES))),
        str(write(tmp_path / "b", of(changed(1, content=b"!")))),
    )

    def run(*words: str) -> Any:
        return slimbake.main(["diff", *words], standalone_mode=False)

    assert run(a, a) == 0
    assert run(a, b) == DIFFERENT == 8
    capsys.readouterr()
    assert run(a, b, "--json") == 8
    found = json.loads(capsys.readouterr().out)
    assert found["equal"] is False
    assert found["layers"][0]["first"][0]["path"] == "a/one"
