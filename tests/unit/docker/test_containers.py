"""Containers that run to their end."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from tests.unit.docker.conftest import Program

from slimbake import docker
from slimbake.docker.containers import Contained, contained, of_this_process, orphaned, remove_owned


def test_what_a_container_writes_is_given(program: Program) -> None:
    program.answer("run --rm --interactive", "said\n")
    assert docker.container_output("--network=none", "image", stdin="x") == "said\n"
    owner = f"{socket.gethostname()}/{os.getpid()}"
    asked = f"run --rm --interactive --label=slimbake.owner={owner} --network=none image"
    assert program.asked == [asked]


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


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/a/b", '--mount=type=bind,"source=/a/b",target=/t,readonly'),
        ("/a:b", '--mount=type=bind,"source=/a:b",target=/t,readonly'),
        ('/a,"b', '--mount=type=bind,"source=/a,""b",target=/t,readonly'),
    ],
)
def test_a_path_is_mounted_no_matter_what_it_holds(source: str, expected: str) -> None:
    assert docker.bind(Path(source), "/t") == expected


@pytest.mark.parametrize("said", ["no object\n", '{"no": "whole line"}'])
def test_a_container_that_ends_is_removed_at_once(program: Program, said: str) -> None:
    program.answer("run --interactive", said, "why", code=3)
    program.answer("rm --force", "")
    program.answer("inspect", "true")
    done = contained("name", ("image",), "", 60)
    assert done == Contained(3, said, "why", out_of_memory=True)
    assert "rm --force --volumes name" in program.asked
