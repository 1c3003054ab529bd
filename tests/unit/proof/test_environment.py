"""Variables of the running image: what is measured of them, what is kept, and what is measured
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slimbake.catalogue.model import Pass
from slimbake.checks.start import NotStarted, Started
from slimbake.checks.verify import Verdict
from slimbake.config.model import Budget, StartCheck
from slimbake.console import QUIET as SILENT
from slimbake.console import Console
from slimbake.errors import CheckError
from slimbake.plan.model import Running
from slimbake.proof import environment, images
from slimbake.proof.trial import Outcome, Subject

QUIET = Pass(name="environment.quiet", about="", why="", costs="", env=(("QUIET", "1"),))
LOUD = Pass(name="environment.loud", about="", why="", costs="", env=(("LOUD", "1"),))
REMOVES = Pass(name="thing.tests", about="", why="", costs="", remove=("tests/**",))


class Engine:
    """LOUD breaks the smoke; QUIET doubles the time of calls, except in the round that a busy
    machine slows.
    """

    def __init__(self) -> None:
        self.runs: list[tuple[str, str, tuple[str, ...]]] = []

    def trial(
        self, subject: Subject, passes: Sequence[object], *, environment: Mapping[str, str]
    ) -> Outcome:
        self.runs.append(("smoke", subject.service, tuple(environment)))
        return Outcome(held="LOUD" not in environment, level="load", error="too loud", levels={})

    def verify(
        self,
        plan: object,
        service: str,
        image: str,
        root: Path,
        limit: object,
        environment: Mapping[str, str],
    ) -> Verdict:
        self.runs.append(("verify", service, tuple(environment)))
        busy = 50.0 if len(self.runs) < 4 else 1.0
        calls = (2.0 if environment else 1.0) * busy
        return Verdict(
            service=service, holds=True, error="", startup=0.5, rss=100, seconds=0.5 + calls
        )


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(environment, "trial", made.trial)
    monkeypatch.setattr(environment, "verify", made.verify)
    return made


def subject(service: str, root: Path, image: str = "sha256:1") -> Subject:
    smoke: Any = None
    return Subject(service=service, image=image, smoke=smoke, root=root)


def plan_of(*subjects: Subject, verify: str = "v") -> Any:
    return SimpleNamespace(
        services=[
            Running(
                service=each.service,
                host=each.service,
                variant="",
                port=8000,
                volumes=(),
                budget=Budget(),
                start=StartCheck("runs"),
                verify=verify,
            )
            for each in subjects
        ]
    )


def measure(
    root: Path,
    *subjects: Subject,
    passes: Sequence[Pass] = (QUIET,),
    only_stale: bool = False,
    verify: str = "v",
) -> Any:
    environment.environments(
        plan_of(*subjects, verify=verify),
        passes,
        subjects,
        root,
        SILENT,
        only_stale=only_stale,
    )
    return images.read_images(root).get("environment", {})


def test_sides_take_turns_at_being_the_first_and_a_ratio_is_that_of_a_round(
    engine: Engine, tmp_path: Path
) -> None:
    found = measure(tmp_path, subject("api", tmp_path))["environment.quiet"]["services"]["api"]
    assert [bool(variables) for what, _, variables in engine.runs if what == "verify"] == [
        False,
        True,
        True,
        False,
        False,
        True,
        True,
        False,
        False,
        True,
    ]
    assert found["held"] and found["rounds"] == 5
    assert found["ratio"] == {"startup": 1.0, "rss": 1.0, "calls": 2.0}
    assert found["without"]["calls"] == 1.0 and found["with"]["calls"] == 2.0
    assert "cores" in found["machine"] and found["load"] >= 0


def test_what_does_not_hold_says_so_and_is_not_timed(engine: Engine, tmp_path: Path) -> None:
    found = measure(tmp_path, subject("api", tmp_path), passes=(LOUD, REMOVES))
    assert found["environment.loud"]["services"]["api"] == {
        "image": "sha256:1",
        "held": False,
        "level": "load",
        "error": "too loud",
    }
    assert list(found) == ["environment.loud"], "a pass without variables is none of these"
    assert [what for what, *_ in engine.runs] == ["smoke"]


@pytest.mark.parametrize(("breaks", "held"), [(("QUIET",), False), ((), True)])
def test_a_start_that_variables_break_is_reported_and_one_that_fails_without_them_is_not_their_fault(
    breaks: tuple[str, ...],
    held: bool,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def started(image: str, service: Running, runs: int, variables: Mapping[str, str]) -> Started:
        if tuple(variables) == breaks:
            raise NotStarted("api: its command ended with 1")
        return Started(startup=0.5, rss=100, runs=runs)

    monkeypatch.setattr(environment, "started", started)
    found = measure(tmp_path, subject("api", tmp_path), verify="")["environment.quiet"]["services"][
        "api"
    ]
    assert found["held"] is held and "ratio" not in found
    assert held or (found["level"], found["error"]) == ("startup", "api: its command ended with 1")


def test_a_verify_that_does_not_hold_without_them_is_reported_at_once(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = Verdict(
        service="api", holds=False, error="GET /: 500", startup=None, rss=None, seconds=None
    )
    monkeypatch.setattr(environment, "verify", lambda *_: verdict)
    with pytest.raises(CheckError, match="the verify of api failed on its image\nGET /: 500"):
        measure(tmp_path, subject("api", tmp_path))


def test_what_was_found_of_other_services_stays(engine: Engine, tmp_path: Path) -> None:
    measure(tmp_path, subject("api", tmp_path))
    found = measure(tmp_path, subject("nlg", tmp_path))
    assert sorted(found["environment.quiet"]["services"]) == ["api", "nlg"]


def test_variables_that_have_changed_leave_nothing_of_what_was_found(
    engine: Engine, tmp_path: Path
) -> None:
    measure(tmp_path, subject("api", tmp_path))
    other = Pass(name=QUIET.name, about="", why="", costs="", env=(("QUIET", "2"),))
    found = measure(tmp_path, subject("nlg", tmp_path), passes=(other,))
    assert list(found["environment.quiet"]["services"]) == ["nlg"]
    assert found["environment.quiet"]["digest"] == other.digest != QUIET.digest


def test_only_what_is_stale_is_measured_again_where_that_is_asked_for(
    engine: Engine, tmp_path: Path
) -> None:
    measure(tmp_path, subject("api", tmp_path), subject("nlg", tmp_path))
    engine.runs.clear()
    both = subject("api", tmp_path), subject("nlg", tmp_path, "sha256:2")
    measure(tmp_path, *both, only_stale=True)
    assert {service for _, service, _ in engine.runs} == {"nlg"}, (
        "of the other, the image is the same"
    )
    engine.runs.clear()
    measure(tmp_path, *both)
    assert {service for _, service, _ in engine.runs} == {"api", "nlg"}


def test_an_interrupt_leaves_what_was_measured_before(engine: Engine, tmp_path: Path) -> None:
    def interrupted(text: str) -> None:
        if "nlg" in text:
            raise KeyboardInterrupt

    subjects = [subject("api", tmp_path), subject("nlg", tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        environment.environments(
            plan_of(*subjects), (QUIET,), subjects, tmp_path, Console(interrupted), only_stale=False
        )
    assert list(images.read_images(tmp_path)["environment"]["environment.quiet"]["services"]) == [
        "api"
    ]
