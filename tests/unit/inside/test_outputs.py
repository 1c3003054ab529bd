"""What steps of `build` made, on its way into an image."""

import os
from pathlib import Path

import pytest

from slimbake.inside.make import layer
from slimbake.inside.step import EPOCH, StepError


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layer, "INSIDE", tmp_path / "inside")
    made = tmp_path / "inside/step"
    (made / "dist/js").mkdir(parents=True)
    (made / "dist/js/app.js").write_text("x")
    (made / "dist/latest.js").symlink_to("js/app.js")
    (made / "tool").write_text("#!")
    (made / "tool").chmod(0o700)
    (made / "secret").write_text("not named")
    return made


def test_named_outputs_are_taken_with_gits_modes_and_one_time(step: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    layer.take_outputs([str(out), "/app/frontend", "dist", "tool"])
    found = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    assert found == {
        *("app", "app/frontend", "app/frontend/tool", "app/frontend/dist"),
        *("app/frontend/dist/latest.js", "app/frontend/dist/js", "app/frontend/dist/js/app.js"),
    }
    assert {path.lstat().st_mtime for path in out.rglob("*")} == {EPOCH}
    assert (out / "app/frontend/tool").stat().st_mode & 0o777 == 0o755
    assert os.readlink(out / "app/frontend/dist/latest.js") == "js/app.js"  # noqa: PTH115


def test_an_output_that_was_not_made_is_named(step: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"the step made no static, x/y; `outputs` names"):
        layer.take_outputs([str(tmp_path / "out"), "/app", "dist", "static", "x/y"])


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret"])
def test_no_link_leads_out_of_an_output(step: Path, tmp_path: Path, target: str) -> None:
    (step / "dist/out").symlink_to(target)
    with pytest.raises(StepError, match="out is a link that leads out of the output"):
        layer.take_outputs([str(tmp_path / "out"), "/app", "dist"])
    (step / "whole").symlink_to("/etc")
    with pytest.raises(StepError, match="whole leads out of the step's folder"):
        layer.take_outputs([str(tmp_path / "out"), "/app", "whole"])
