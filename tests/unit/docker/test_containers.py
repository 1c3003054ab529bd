"""Containers that run to their end, and builds: what the engine is given, what failures say."""

import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.unit.docker.conftest import Program

from slimbake import docker
from slimbake.docker.containers import (
    Contained,
    Detached,
    contained,
    copied,
    of_this_process,
    orphaned,
    remove_owned,
)
from slimbake.errors import SetupError


def test_what_a_container_writes_is_given(program: Program) -> None:
    program.answer("", "")
    program.answer("run --interactive", "said\n")
    assert docker.container_output("--network=none", "image", stdin="x") == "said\n"
    name, label = program.asked[0].split()[2:4]
    assert label == f"--label=slimbake.owner={socket.gethostname()}/{os.getpid()}"
    assert program.asked[0] == f"run --interactive {name} {label} --network=none image"
    assert program.asked[-1] == f"rm --force --volumes {name.removeprefix('--name=')}"


def test_orphans_are_those_whose_process_on_this_machine_has_gone(program: Program) -> None:
    here, dead = socket.gethostname(), subprocess.Popen(["true"])
    dead.wait()
    owners = (f"{here}/{dead.pid}", f"{here}/{os.getpid()}", f"elsewhere/{dead.pid}", "garbled")
    rows = [f"id{at} name{at} {owner}" for at, owner in enumerate(owners)]
    program.answer("ps --all", "\n".join(rows))
    program.answer("network ls", f"net0 netname0 {owners[0]}\nnet1 netname1 {owners[1]}")
    program.answer("rm --force --volumes id0", "id0")
    program.answer("network rm net0", "net0")
    assert remove_owned(orphaned) == ["name0", "netname0"]
    removed = [words for words in program.asked if "rm" in words.split()]
    assert removed == ["rm --force --volumes id0", "network rm net0"]
    program.answer("rm --force --volumes id1", "id1")
    program.answer("network rm net1", "net1")
    assert remove_owned(of_this_process) == ["name1", "netname1"]


@pytest.mark.parametrize("said", ["no object\n", '{"no": "whole line"}'])
def test_a_container_that_ends_is_removed_at_once(program: Program, said: str) -> None:
    program.answer("run --interactive", said, "why", code=3)
    program.answer("rm --force", "")
    program.answer("inspect", "true")
    done = contained("name", ("image",), "", 60)
    assert done == Contained(3, said, "why", out_of_memory=True)
    assert "rm --force --volumes name" in program.asked


def test_a_copy_that_breaks_off_is_an_error_and_one_of_nothing_is_none(program: Program) -> None:
    for answer, code in (("half a tar", 1), ("a whole tar", 0), ("", 1)):
        program.answer("container create", "id\n")
        program.answer("cp id:/a", answer, code=code)
        broken = pytest.raises(SetupError) if answer and code else contextlib.nullcontext()
        with broken, copied("image", "/a") as stream:
            assert (stream.read() if stream else b"") == answer.encode()
        program.answer("cp id:/a", answer * 100_000, code=code)
        with copied("image", "/a") as stream:  # who wants no more of it asks no more
            assert (stream is None) == (not answer)
    assert program.asked[-1] == "rm --force --volumes id"


# --- builds without a context of their own


def test_files_are_put_into_a_folder(program: Program) -> None:
    program.answer("buildx build")
    said: dict[str, Any] = {"arguments": {"A": "b"}, "labels": {"c": "d"}}
    docker.build("FROM x\n", {"x": "/x"}, "type=local,dest=out", **said)
    (line,) = program.asked
    assert "--output=type=local,dest=out" in line
    assert "--build-arg=A=b" in line and "--build-context=x=/x" in line
    assert "--label=c=d" in line and "--provenance=false" in line


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("#5 0.1 slimbake: no such package\n#6 ERROR\n", "0.1 slimbake: no such package"),
        ("#5 ERROR: boom\n", "the build failed\n#5 ERROR: boom"),
    ],
)
def test_a_failed_build_in_words(program: Program, tmp_path: Path, said: str, message: str) -> None:
    program.answer("buildx build", stderr=said, code=1)
    with pytest.raises(SetupError) as caught:
        docker.build("FROM x\n", {}, "type=cacheonly")
    assert caught.value.message == message


def test_a_bake_gives_events_and_keeps_what_is_none(program: Program, tmp_path: Path) -> None:
    event = json.dumps({"vertexes": [{"name": "}"}]}, indent=2)
    lines = f"#1 a word\n{event}\n{{}}\n{{\n broken\n}}\n{event} last words\nERROR: no\n"
    program.answer("buildx bake --progress=rawjson one", stderr=lines, code=1)
    bake = docker.Bake(["one"], tmp_path, {})
    assert [*bake.events()] == [json.loads(event), {}, json.loads(event)]
    assert bake.code == 1
    assert bake.text == "#1 a word\n{\n broken\n}\n last words\nERROR: no\n"


@pytest.mark.parametrize(
    ("code", "said", "seen"),
    [
        (0, "", True),
        (1, 'invalid mount config for type "bind": bind source path does not exist: /x', False),
        (1, "Mounts denied: The path /x is not shared from the host", False),
        (1, "No such image: gone", True),  # another fault, which whoever starts it reports
    ],
)
def test_an_engine_sees_a_file_or_does_not(
    code: int, said: str, seen: bool, program: Program
) -> None:
    program.answer("container create", "id0\n", said, code=code)
    program.answer("rm --force", "")
    assert docker.sees(Path('/My Repo (1)/a,"b'), "image") is seen
    mount = '--mount=type=bind,"source=/My Repo (1)/a,""b",target=/file,readonly'
    assert mount in program.asked[0]
    assert program.asked[1:] == (["rm --force --volumes id0"] if code == 0 else [])


@pytest.mark.parametrize(
    ("answer", "here", "expected"),
    [
        ("running 0 41 id0", True, (None, 41)),
        ("running 0 41 id0", False, (None, 0)),  # another machine's process has this number here
        ("created 0 0 id0", False, (None, 0)),
        ("exited 3 0 id0", False, (3, 0)),
        ("", False, (1, 0)),
    ],
)
def test_the_first_process_of_a_container_is_known_where_it_runs_here(
    answer: str,
    here: bool,
    expected: tuple[int | None, int],
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program.answer("inspect", answer)
    monkeypatch.setattr("slimbake.docker.containers.is_of_group", lambda *_: here)
    assert Detached("name", "").state() == expected
