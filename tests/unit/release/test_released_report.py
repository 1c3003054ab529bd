"""What `slimbake bake` prints: sizes of what it built, and of what the registry had that it is there."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.unit.release.played import manifest

from slimbake.console.tables import Layout, readable
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.release.on_registry import OnRegistry
from slimbake.release.release import Released
from slimbake.release.released_report import ending, released_json, released_text

MEASURED = Measurement(
    (
        Image(
            "api",
            "sha256:" + "a" * 64,
            (MeasuredLayer("sha256:1", "sha256:2", 2_000_000, 1_000_000, 3),),
        ),
    )
)
HELD = (OnRegistry("nlg", "r.example/nlg", manifest("nlg")),)
DIGEST = manifest("nlg").descriptor.digest
WIDE = Layout(0)


def test_what_was_not_built_has_no_sizes() -> None:
    _, api, nlg, summary, _ = released_text(Released(MEASURED, HELD), WIDE).splitlines()
    assert api.split() == [
        "api",
        "a" * 12,
        *("2.0", "MB", "1.0", "MB"),
    ]
    assert nlg.split() == ["nlg", DIGEST.removeprefix("sha256:")[:12], "on", "the", "registry"]
    assert summary.startswith("together:   2.0 MB on a host")


def test_where_nothing_was_built_there_is_no_sum() -> None:
    lines = released_text(Released(Measurement(()), HELD), WIDE).splitlines()
    assert [line.split()[0] for line in lines] == ["image", "nlg"]


def test_the_last_line_says_what_was_built_checked_and_saved() -> None:
    released = Released(MEASURED, HELD, checks={"api": (("start",), ("smoke",))})
    (image,) = MEASURED.images
    line = "1 built, 0 unchanged, 1 on the registry, 1 checked in 43 s"
    assert ending(released, {}, 42.7) == line
    fewer = replace(image, digest="sha256:1", layers=())
    change = MEASURED.host - Measurement((fewer,)).host
    assert ending(released, {"api": fewer}, 42.7) == (
        f"{line}; {readable(change, signed=True)} on a host against the last bake"
    )
    same = ending(replace(released, failed=("nlg",)), {"api": image}, 1)
    assert same.startswith(
        "0 built, 1 unchanged, 1 on the registry, 1 failed, 1 checked in 1 s; +0 B"
    )


def test_scripts_are_reported_too() -> None:
    found = json.loads(json.dumps(released_json(Released(MEASURED, HELD))))
    assert found["on_registry"] == {"nlg": {"digest": DIGEST}}
    assert list(found["images"]) == ["api"]
    assert released_json(Released(MEASURED))["on_registry"] == {}
