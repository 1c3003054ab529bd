"""Images without and with passes: whether they hold, and whether these very ones were measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slimbake.checks.start import NotStarted, Started
from slimbake.checks.verify import Verdict
from slimbake.config.model import Budget, StartCheck
from slimbake.console import Console
from slimbake.errors import CheckError
from slimbake.plan.model import Running
from slimbake.proof import images


def plan(verify: str = "") -> Any:
    api = Running(
        service="api",
        host="api",
        variant="",
        port=8000,
        volumes=(),
        budget=Budget(),
        start=StartCheck("runs"),
        verify=verify,
    )
    return SimpleNamespace(services=[api])


def starting(*ids: str) -> Any:
    """Of all images only these start."""

    def started(image: str, service: Running, runs: int, platform: str) -> Started:
        if image not in ids:
            raise NotStarted("api: its command ended with 1")
        return Started(startup=0.5, rss=100, runs=runs)

    return started


def verified(verify: str = "") -> list[str]:
    said: list[str] = []
    images.verified(plan(verify), {"api": "bare"}, {"api": "pruned"}, Path(), Console(said.append))
    return said


def test_without_a_verify_an_image_has_to_start_where_the_one_without_passes_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "started", starting("bare", "pruned"))
    assert verified() == ["api: starts as it does without passes"]
    monkeypatch.setattr(images, "started", starting("bare"))
    with pytest.raises(CheckError, match="api: its command ended with 1"):
        verified()


def test_a_service_that_needs_another_one_to_start_is_not_at_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "started", starting())
    assert verified() == ["api: starts as it does without passes"]


@pytest.mark.parametrize(("holds", "error"), [(True, ""), (False, "GET /health: 500")])
def test_a_verify_decides_where_there_is_one(
    holds: bool, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = Verdict(service="api", holds=holds, error=error, startup=None, rss=None, seconds=None)
    monkeypatch.setattr(images, "verify", lambda *_, **__: verdict)
    if holds:
        assert verified("verify.py") == ["api: verify passed"]
    else:
        with pytest.raises(CheckError, match="api: GET /health: 500"):
            verified("verify.py")


def test_figures_of_other_services_stay(tmp_path: Path) -> None:
    fleet = {"with": {"host": 1}}
    images.write_images({"services": {"api": {"with": {"rss": 1}}}, "fleet": fleet}, tmp_path)
    images.write_images({"services": {"nlg": {"with": {"rss": 2}}}}, tmp_path)
    assert images.read_images(tmp_path) == {
        "services": {"api": {"with": {"rss": 1}}, "nlg": {"with": {"rss": 2}}},
        "fleet": fleet,
    }
