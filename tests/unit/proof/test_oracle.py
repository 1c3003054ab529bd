"""The oracle of a search: which traces are kept, and what is said of commands that cannot be
traced.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slimbake.docker.containers import Contained
from slimbake.host.workspace import Workspace
from slimbake.plan.model import Target
from slimbake.proof import oracle
from slimbake.proof.oracle import Oracle, Start
from slimbake.proof.trial import Subject
from slimbake.proof.trials import Kept

SERVES = {"api": Start(("uvicorn", "app:app"), 80)}


class Containers:
    """Stands for the engine: answers as the program that traces, and counts how often it is asked."""

    def __init__(self, **said: Any) -> None:
        self.said = {"held": True, "untraced": "", "files": [], "used": {}, "elsewhere": {}} | said
        self.asked: list[dict[str, Any]] = []

    def __call__(self, name: str, words: Any, stdin: str, seconds: float) -> Contained:
        self.asked.append(json.loads(stdin))
        return Contained(0, f"words of a service\n{json.dumps(self.said)}\n", "its errors", False)


@pytest.fixture
def asked(tmp_path: Path) -> Oracle:
    smoke = Target(
        name="api-smoke",
        kind="smoke",
        service="api",
        context="api",
        dockerfile="",
        recipe=None,
        args=(("SLIMBAKE_SMOKE", "smoke.py"),),
    )
    kept = Kept(Workspace(tmp_path), "search")
    return Oracle([Subject("api", "sha256:1", smoke, tmp_path)], kept)


@pytest.mark.parametrize("starts", [None, SERVES])
def test_a_trace_is_kept(
    starts: dict[str, Start] | None, asked: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Containers(used={"a.py": "open"})
    monkeypatch.setattr(oracle, "contained", engine)
    first, second = asked.traced((), starts), asked.traced((), starts)
    assert first == second and first["api"].used == {"a.py": "open"} and not first["api"].unseen
    assert len(engine.asked) == 1


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"files": [1]}'])
def test_a_trace_that_cannot_be_read_is_made_again(
    content: str, asked: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Containers(used={"a.py": "open"})
    monkeypatch.setattr(oracle, "contained", engine)
    first = asked.traced(())
    (file,) = (tmp_path / ".slimbake/search").rglob("*.json")
    file.write_text(content)
    assert asked.traced(()) == asked.traced(()) == first
    assert len(engine.asked) == 2


@pytest.mark.parametrize("starts", [None, SERVES])
def test_a_trace_of_what_does_not_hold_or_answer_is_not_kept(
    starts: dict[str, Start] | None, asked: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that took longer than a busy machine had for it answers the next time."""
    for engine, held in ((Containers(held=False), False), (Containers(), True)):
        monkeypatch.setattr(oracle, "contained", engine)
        assert asked.traced((), starts)["api"].held is held
        assert len(engine.asked) == 1


@pytest.mark.parametrize(
    "command", [("uvicorn", "app:app"), ("python", "app.py"), ("python", "-m", "app"), ("./run",)]
)
def test_every_command_is_asked_of_the_image(
    command: tuple[str, ...], asked: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Containers(held=False, untraced="run is not there")
    monkeypatch.setattr(oracle, "contained", engine)
    found = asked.traced((), {"api": Start(command, 80)})
    assert engine.asked == [{"passes": [], "command": [*command], "port": 80}]
    assert found["api"].untraced == found["api"].unseen == "run is not there"


def test_a_command_that_slimbake_does_not_know_is_reported_without_a_container(
    asked: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oracle, "contained", Containers())
    assert (
        asked.traced((), {"api": Start((), None)})["api"].unseen
        == "slimbake knows none that starts it"
    )
    assert asked.traced((), {}) == {}


def test_a_server_that_does_not_answer_was_not_seen_to_its_end(
    asked: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oracle, "contained", Containers(held=False))
    assert asked.traced((), SERVES)["api"].unseen == "it did not answer at its port"
