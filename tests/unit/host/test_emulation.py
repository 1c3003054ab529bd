"""Which other platforms' programs this machine runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimbake.errors import SetupError
from slimbake.host import machine
from slimbake.host.machine import require_emulation

HANDLER = "{state}\ninterpreter /usr/bin/qemu-aarch64-static\nflags: {flags}\noffset 0\n"


@pytest.fixture
def binfmt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine for amd64 whose kernel has these handlers."""
    monkeypatch.setattr(machine, "BINFMT", tmp_path)
    monkeypatch.setattr(machine, "processor", lambda: "x86_64")
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
