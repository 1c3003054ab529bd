"""Tables fold to the width of a terminal, a pipe gets them as wide as they are, scripts read JSON."""

import json
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner, _NamedTextIOWrapper

from slimbake.cli import slimbake as program
from slimbake.cli.common import print_text
from slimbake.externals.doctor import Diagnosis, DoctorRow

ROOT = Path(__file__).parents[3]
OFFLINE = ("plan", "layers", "doctor")


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine about which `doctor` has much to say."""
    row = DoctorRow("engine", "ok", f"Docker 29.0.1, {'of a long name ' * 9}", "")
    module = import_module("slimbake.cli.doctor")
    monkeypatch.setattr(module, "doctor", lambda *_: Diagnosis((row,)))


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80 columns."""
    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda _: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def printed(name: str, *options: str) -> str:
    done = CliRunner().invoke(program, [name, "-f", str(ROOT / "services.yaml"), *options])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.usefixtures("on_a_terminal")
@pytest.mark.parametrize("name", OFFLINE)
def test_a_terminal_gets_lines_that_fit(name: str) -> None:
    assert max(map(len, printed(name).splitlines())) <= 80


@pytest.mark.parametrize("name", ["plan", "doctor"])
def test_a_pipe_gets_whole_rows(name: str) -> None:
    assert max(map(len, printed(name).splitlines())) > 80


@pytest.mark.parametrize("name", OFFLINE)
def test_a_script_gets_json(name: str) -> None:
    assert json.loads(printed(name, "--json"))


def test_what_an_image_holds_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_text("a\x1b[2Jb\u202ec\0d\x9be\u2066f")
    assert capsys.readouterr().out == "a\\x1b[2Jb\\u202ec\\x00d\\x9be\\u2066f\n"
