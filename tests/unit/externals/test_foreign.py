"""Stand-ins for platforms that are not this machine's."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.processes import faked

from slimbake.errors import SetupError
from slimbake.externals import foreign
from slimbake.externals.foreign import require_emulation, together

HANDLER = "{state}\ninterpreter /usr/bin/qemu-aarch64-static\nflags: {flags}\noffset 0\n"


@pytest.fixture
def binfmt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine for amd64 whose kernel has these handlers."""
    monkeypatch.setattr(foreign, "BINFMT", tmp_path)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (tmp_path / "register").write_text("")
    (tmp_path / "status").write_text("enabled\n")
    return tmp_path


def test_its_own_platform_needs_no_emulation(binfmt: Path) -> None:
    require_emulation("linux/amd64")


def test_an_emulator_that_containers_see_will_do(binfmt: Path) -> None:
    (binfmt / "qemu-aarch64").write_text(HANDLER.format(state="enabled", flags="OCF"))
    require_emulation("linux/arm64")


@pytest.mark.parametrize(("state", "flags"), [("disabled", "OCF"), ("enabled", "OC")])
def test_one_that_is_off_or_would_have_to_lie_in_the_container_will_not(
    binfmt: Path, state: str, flags: str
) -> None:
    (binfmt / "qemu-aarch64").write_text(HANDLER.format(state=state, flags=flags))
    with pytest.raises(SetupError) as caught:
        require_emulation("linux/arm64")
    assert str(caught.value) == "this machine does not run programs for linux/arm64"
    assert "apt-get install qemu-user-binfmt" in caught.value.hint


def test_several_are_one_image_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = faked(monkeypatch)
    processes.answer("docker buildx build")
    reference = together("uv:1.0", {"linux/arm64": "/uv-arm64", "linux/amd64": "/uv"})
    assert reference == "slimbake-standin/uv:1.0-amd64-arm64"
    (line,) = processes.started
    assert "--platform=linux/amd64,linux/arm64" in line
    assert "--build-context=standin-amd64=/uv --build-context=standin-arm64=/uv-arm64" in line


def test_an_engine_that_holds_no_index_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    faked(monkeypatch).answer(
        "docker buildx build", stderr="docker driver: no multi-platform", code=1
    )
    with pytest.raises(SetupError, match="no multi-platform") as caught:
        together("uv:1.0", {"linux/arm64": "/a", "linux/amd64": "/b"})
    assert "PLATFORMS=linux/amd64 slimbake bake" in caught.value.hint
