"""The stand-in of uv: the program alone in a folder of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.index import serving
from tests.unit.machines import debian
from tests.wheels import wheel_bytes

from slimbake.externals import standin
from slimbake.externals.standin import uv_standin
from slimbake.host.pip import PackageSources
from slimbake.host.uv import uv_version


def test_uv_is_copied_once_and_a_copy_that_failed_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(standin, "uv_program", lambda: tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        uv_standin()
    assert list((tmp_path / "state/slimbake").iterdir()) == []
    (tmp_path / "uv").write_text("binary")
    monkeypatch.setattr(standin, "uv_program", lambda: tmp_path / "uv")
    assert uv_standin() == uv_standin()
    assert (uv_standin() / "uv").read_text() == "binary"


def test_uv_for_another_platform_comes_out_of_the_wheel_that_fits_it_best(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    version = uv_version()
    with serving() as index:
        for tag in ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_x86_64"):
            program = {f"uv-{version}.data/scripts/uv": tag.encode()}
            content = wheel_bytes("uv", version, tag=f"py3-none-{tag}", files=program)
            index.publish("uv", f"uv-{version}-py3-none-{tag}.whl", content)
        folder = uv_standin("linux/arm64", debian(packages=PackageSources(index_url=index.url)))
    assert folder.name == f"uv-{version}-linux-arm64"
    assert (folder / "uv").read_text() == "manylinux_2_28_aarch64"
    assert (folder / "uv").stat().st_mode & 0o777 == 0o755
