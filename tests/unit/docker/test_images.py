"""What the engine is asked about images, and what its answers and failures become."""

import json
from pathlib import Path

import pytest
from tests.unit.docker.conftest import Program

from slimbake import docker
from slimbake.errors import SetupError

HELD = {
    "Id": "sha256:1",
    "RepoDigests": ["r.example/api@sha256:2"],
    "Config": {"Labels": {"a": "b"}, "Entrypoint": ["python"], "Cmd": None},
    "RootFS": {"Layers": ["sha256:3", "sha256:4"]},
}
NONE = "Error response from daemon: No such image: api"


def test_an_image_is_what_the_engine_says_of_it(program: Program) -> None:
    program.answer("image inspect", json.dumps(HELD))
    found = docker.engine_image("api")
    assert (found.id, found.digests, found.labels) == ("sha256:1", ("sha256:2",), {"a": "b"})
    assert (found.entrypoint, found.command) == (("python",), ())
    assert found.layers == ("sha256:3", "sha256:4")


def test_an_image_without_a_configuration_has_nothing_in_it(program: Program) -> None:
    program.answer("image inspect", json.dumps({"Id": "sha256:1", "Config": None}))
    found = docker.engine_image("api")
    assert (found.digests, found.labels, found.layers) == ((), {}, ())


def test_none_is_distinguished_from_an_engine_that_does_not_answer(program: Program) -> None:
    program.answer("image inspect", stderr="Error response: invalid reference format", code=1)
    assert docker.find_image("A B") is None
    program.answer("image inspect", stderr=NONE, code=1)
    assert docker.find_image("api") is None
    with pytest.raises(SetupError, match="docker image failed") as caught:
        docker.engine_image("api")
    assert caught.value.hint == NONE
    program.answer("image inspect", stderr="Cannot connect to the Docker daemon", code=1)
    with pytest.raises(SetupError, match="docker image failed"):
        docker.find_image("api")


def test_the_images_that_are_missing_are_named_together(program: Program) -> None:
    program.answer("image inspect", stderr=NONE, code=1)
    program.answer("image inspect --format={{json .}} r/one", json.dumps(HELD))
    assert docker.image_ids({"one": "r/one"}) == {"one": "sha256:1"}
    with pytest.raises(SetupError, match=r"^the engine has no image of: two, three$"):
        docker.image_ids({"one": "r/one", "two": "r/two", "three": "r/three"})


def test_the_images_of_a_project_have_all_their_names(program: Program) -> None:
    program.answer("image ls", "sha256:1 a/x:1\nsha256:2 <none>:<none>\nsha256:1 b/x:1\n")
    found = {"sha256:1": ("a/x:1", "b/x:1"), "sha256:2": ("<none>:<none>",)}
    assert docker.project_images("p") == found


def test_images_that_the_engine_has_are_named(program: Program) -> None:
    gone = "Error response from daemon: No such image: sha256:3"
    lines = 'sha256:1 ["a/x:1","b/x:1"]\nsha256:2 []\n'
    program.answer("image inspect", lines, stderr=gone, code=1)
    asked = ("sha256:1", "sha256:2", "sha256:3")
    assert docker.held_images(asked) == {"sha256:1": ("a/x:1", "b/x:1"), "sha256:2": ()}
    assert docker.held_images(()) == {}
    program.answer("image inspect", stderr="Cannot connect to the Docker daemon", code=1)
    with pytest.raises(SetupError, match="docker image failed"):
        docker.held_images(asked)


def test_what_lost_its_name_is_removed_unless_a_container_uses_it(program: Program) -> None:
    program.answer("image ls", "sha256:1\nsha256:2\nsha256:3\n")
    program.answer("image inspect", "sha256:1 0\nsha256:2 1\nsha256:3 0\n")
    program.answer("image rm sha256:1")
    program.answer("image rm sha256:3", stderr="image is being used", code=1)
    assert docker.remove_dangling("p") == ["sha256:1"]
    assert "image rm sha256:2" not in program.asked


@pytest.mark.parametrize("words", ["denied: you may not", "no basic auth credentials"])
def test_a_push_without_an_account_gives_the_registry_s_words_and_how_to_get_one(
    program: Program, words: str
) -> None:
    program.answer("image inspect", json.dumps([HELD]))
    program.answer("image push", stderr=f"{words}\n", code=1)
    with pytest.raises(SetupError, match="docker push failed") as caught:
        docker.push_image("r.example/api:1")
    assert caught.value.hint.splitlines() == [
        words,
        "`docker login` gives this machine an account that may push; a pipeline has it from the"
        " secrets REGISTRY_USERNAME and REGISTRY_PASSWORD",
    ]
    assert program.asked == ["image push --quiet r.example/api:1"], "it is not tried again"


@pytest.mark.parametrize(
    "words",
    [
        "write tcp 10.0.0.1:443: connection reset by peer",
        "unexpected EOF",
        "received unexpected HTTP status: 503 Service Unavailable",
        "net/http: TLS handshake timeout",
    ],
)
def test_pushes_are_retried(program: Program, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    program.answer("image push", stderr=words, code=1)
    with pytest.raises(SetupError, match="docker push failed") as caught:
        docker.push_image("r.example/api:1")
    assert caught.value.hint == words
    assert program.asked == ["image push --quiet r.example/api:1"] * 3
    assert [wait for wait in waits if wait >= 1] == [1, 2]


def test_pushes_end(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin/docker").write_text("#!/bin/sh\nexec sleep 86400\n")
    monkeypatch.setattr(docker.images, "PUSH_LIMIT", 0.2)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(SetupError, match="docker push failed") as caught:
        docker.push_image("r.example/api:1")
    assert caught.value.hint == "no answer within 0.2 s"


def test_a_push_after_a_fault(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "tried"
    lines = ("#!/bin/sh", f"test -e {mark} && exit 0", f"touch {mark}", "echo EOF >&2", "exit 1")
    (tmp_path / "bin/docker").write_text("\n".join(lines))
    monkeypatch.setattr("time.sleep", lambda _: None)
    docker.push_image("r.example/api:1")
    assert mark.exists()


def test_what_is_pulled_by_its_digest_is_reported_by_its_id(program: Program) -> None:
    name = f"r.example/api@sha256:{'2' * 64}"
    program.answer("image pull", "sha256:2")
    program.answer("image inspect", json.dumps([HELD]))
    program.answer("image inspect --format={{json .}}", json.dumps(HELD))
    assert docker.pull_image(name, "linux/arm64") == "sha256:1"
    (line,) = [line for line in program.asked if line.startswith("image pull")]
    assert line == f"image pull --quiet --platform=linux/arm64 {name}"


def test_a_pull_that_fails_gives_the_registry_s_words(program: Program) -> None:
    program.answer("image pull", stderr="manifest unknown\n", code=1)
    with pytest.raises(SetupError, match="docker image failed") as caught:
        docker.pull_image("r.example/api@sha256:2", "linux/amd64")
    assert caught.value.hint == "manifest unknown"


@pytest.mark.parametrize(
    ("stdout", "stderr", "code", "answer"),
    [
        ('{"digest": "sha256:1"}', "", 0, ("sha256:1", "")),
        ('{"digest": "sha256:1"}', "", 1, ("", "cannot be reached")),
        ("<html>", "", 0, ("", "cannot be reached")),
        ("{}", "", 0, ("", "cannot be reached")),
        ("", "ERROR: docker.io/library/x:1: not found", 1, ("", "has no such image")),
        ("", "ERROR: pull access denied, repository does not exist", 1, ("", "has no such image")),
        ("", "ERROR: lookup registry.example: no such host", 1, ("", "cannot be reached")),
    ],
)
def test_a_registry_has_a_digest_or_a_reason(
    program: Program, stdout: str, stderr: str, code: int, answer: tuple[str, str]
) -> None:
    program.answer("buildx imagetools inspect", stdout, stderr, code)
    assert docker.registry_answer("x:1", 5) == answer


def test_without_docker_there_is_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert docker.registry_answer("x:1", 5)[0] == ""
    for ask in (docker.engine_image, lambda name: docker.tag_image(name, "y")):
        with pytest.raises(SetupError, match="docker is not installed"):
            ask("x")
