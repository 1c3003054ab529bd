"""What `slimbake bake` prints of images that the registry had: that they are there, and no sizes."""

from __future__ import annotations

import json

from slimbake.build.released_report import released_json, released_text
from slimbake.images.sizes import Image, MeasuredLayer, Measurement

MEASURED = Measurement(
    (
        Image(
            "api",
            "sha256:" + "a" * 64,
            (MeasuredLayer("sha256:1", "sha256:2", 2_000_000, 1_000_000, 3),),
        ),
    )
)
HELD = {"nlg": "sha256:" + "b" * 64}


def test_what_was_not_built_has_no_sizes() -> None:
    _, api, nlg, summary = released_text(MEASURED, HELD).splitlines()
    assert api.split() == [
        "api",
        "a" * 12,
        *("2.0", "MB", "1.0", "MB", "0.0", "MB", "2.0", "MB", "1.0", "MB"),
    ]
    assert nlg.split() == ["nlg", "b" * 12, "on", "the", "registry"]
    assert summary.startswith("together: 2.0 MB on a host")


def test_where_nothing_was_built_there_is_no_sum() -> None:
    assert [line.split()[0] for line in released_text(Measurement(()), HELD).splitlines()] == [
        "image",
        "nlg",
    ]


def test_scripts_are_told_too() -> None:
    found = json.loads(json.dumps(released_json(MEASURED, HELD)))
    assert found["on_registry"] == {"nlg": {"digest": HELD["nlg"]}}
    assert list(found["images"]) == ["api"]
    assert released_json(MEASURED, {})["on_registry"] == {}
