"""What `slimbake bake` prints: sizes of what it built, and of what the registry had that it is there."""

import json
from dataclasses import replace

import pytest
from tests.unit.release.played import manifest

from slimbake import docker
from slimbake.console.tables import readable
from slimbake.errors import CheckError
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.release.on_registry import OnRegistry
from slimbake.release.outcome import ending, metadata, next_step, released_json, released_text
from slimbake.release.release import Released
from slimbake.release.starts import Checks

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
WIDE = 0
NONE = Measurement(())


def test_what_was_not_built_has_no_sizes() -> None:
    _, api, nlg, summary, _ = released_text(Released(MEASURED, HELD), WIDE).splitlines()
    assert api.split() == ["api", "a" * 12, *("2.0", "MB", "1.0", "MB")]
    assert nlg.split() == ["nlg", DIGEST.removeprefix("sha256:")[:12], "on", "the", "registry"]
    assert summary.startswith("together:   2.0 MB on a host")


def test_where_nothing_was_built_there_is_no_sum() -> None:
    lines = released_text(Released(Measurement(()), HELD), WIDE).splitlines()
    assert [line.split()[0] for line in lines] == ["image", "nlg"]


def test_the_last_line_says_what_happened() -> None:
    (image,) = MEASURED.images
    checks = {"api": Checks(("start", "smoke"), ran=("smoke",))}
    built = Released(MEASURED, HELD, built=frozenset({"api"}), checks=checks)
    rest = "; checks: 1 run, 1 remembered"
    line = "1 built, 1 on the registry in 43 s; digests: 1 new, 0 as before"
    assert ending(built, NONE, 42.7) == line + rest
    fewer = replace(image, digest="sha256:1", layers=())
    change = MEASURED.host - Measurement((fewer,)).host
    assert ending(built, Measurement((fewer,)), 42.7) == (
        f"{line}{rest}; {readable(change, signed=True)} on a host against the last bake"
    )
    cached = replace(built, built=frozenset(), failures={"nlg": CheckError("no")})
    assert ending(cached, MEASURED, 1).startswith(
        "1 from cache, 1 on the registry, 1 failed in 1 s; digests: 0 new, 1 as before; checks: "
    )
    unchanged = Released(MEASURED, unchanged=frozenset({"api"}), checks={"api": Checks(("start",))})
    assert ending(unchanged, MEASURED, 1) == (
        "1 unchanged in 1 s; digests: 0 new, 1 as before; checks: 0 run, 1 remembered;"
        " +0 B on a host against the last bake"
    )
    assert ending(Released(NONE), NONE, 1) == "nothing built in 1 s"


def test_scripts_are_reported_too() -> None:
    found = json.loads(json.dumps(released_json(Released(MEASURED, HELD))))
    assert found["on_registry"] == {"nlg": {"digest": DIGEST}}
    assert list(found["images"]) == ["api"]
    assert released_json(Released(MEASURED))["on_registry"] == {}


def test_what_has_no_tag_is_in_the_table_and_in_the_json_with_the_reason() -> None:
    done = Released(
        MEASURED, names={"nlg": "r/nlg:1"}, failures={"api": CheckError("it ends", "fix it")}
    )
    assert "failed: not tagged" in released_text(done, WIDE).splitlines()[1]
    found = released_json(done)
    assert (found["tagged"], found["failed"]) == ({"nlg": "r/nlg:1"}, {"api": "it ends"})
    assert released_text(Released(NONE, failures={"api": CheckError("no")}), WIDE) == ""


@pytest.mark.parametrize(("containers", "step"), [([], "next: slimbake up"), (["one"], "")])
def test_where_nothing_runs_yet_the_next_step_is_up(
    containers: list[str], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = {"label=slimbake.project=atlas": containers}
    monkeypatch.setattr(docker, "running", running.__getitem__)
    assert next_step("atlas") == step


def test_metadata_has_the_digest_of_the_registry_after_a_push_and_else_of_the_engine() -> None:
    names = {"api": "r.example/api:1", "nlg": "r.example/nlg:1"}
    pushed = {"nlg": f"r.example/nlg@{DIGEST}"}
    assert metadata(Released(MEASURED, HELD, names=names, pushed=pushed)) == {
        "api": {"containerimage.digest": "sha256:" + "a" * 64, "image.name": "r.example/api:1"},
        "nlg": {"containerimage.digest": DIGEST, "image.name": "r.example/nlg:1"},
    }
    assert metadata(Released(NONE)) == {}
