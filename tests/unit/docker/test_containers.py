"""Containers that run to their end."""

from __future__ import annotations

from tests.unit.docker.conftest import Program

from slimbake import docker


def test_what_a_container_writes_is_given(program: Program) -> None:
    program.answer("run --rm --interactive", "said\n")
    assert docker.container_output("--network=none", "image", stdin="x") == "said\n"
    assert program.asked == ["run --rm --interactive --network=none image"]
