"""What images without passes tell of the layers that passes are tried on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slimbake import docker
from slimbake.errors import SetupError
from slimbake.proof.subjects import unpruned_layer

PLAN: Any = SimpleNamespace(
    held=lambda _: (SimpleNamespace(name="api", kind="service", lock="api.txt"),)
)
SUBJECT: Any = SimpleNamespace(service="api", image="sha256:1")
STEPS = ["USER 65532:65532", "COPY . /app", "RUN python /build.pyz install # buildkit"]


def test_the_layer_that_a_step_installs_is_known_by_the_steps_of_its_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker, "image_history", lambda _: STEPS)
    monkeypatch.setattr(docker, "engine_image", lambda _: SimpleNamespace(layers=("one", "two")))
    assert unpruned_layer(PLAN, SUBJECT, "api") == "one"


def test_of_an_image_for_another_platform_no_layer_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Docker 26 with the containerd store: its history weighs snapshots that are not there."""

    def history(_: str) -> list[str]:
        raise SetupError("docker history failed", "snapshot sha256:2aa1 does not exist: not found")

    monkeypatch.setattr(docker, "image_history", history)
    assert unpruned_layer(PLAN, SUBJECT, "api") == ""
