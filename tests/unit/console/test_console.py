"""What services say reaches a terminal or a runner's log as text, never as a command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.console import Console, harmless

ORDERS = "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff"
OSC = "\x1b]0;a title\x07\x9d0;b\x9c\x9b2J"


@given(text=st.text() | st.text(ORDERS) | st.text(st.characters(categories=["Cs"])))
def test_no_text_holds_a_control_character(text: str) -> None:
    shown = harmless(text)
    assert all(each.isprintable() or each in "\t\n" or ord(each) >= 160 for each in shown)
    assert not {*shown} & {*ORDERS}
    shown.encode()


def test_text_from_right_to_left_is_shown_as_it_is() -> None:
    assert harmless("a\u202egpj.exe \udcff") == "a\\u202egpj.exe \\udcff"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("::error::forged", "\\:" + ":error::forged"),
        ("  ::add-mask::x", "  \\:" + ":add-mask::x"),
        ("one\n::stop-commands::x", "one\n\\:" + ":stop-commands::x"),
        ("\u00a0::error::x", "\u00a0\\:" + ":error::x"),
        ("x ##[error]y", "x #\\#[error]y"),
        ("a::b", "a::b"),
        ("## heading", "## heading"),
    ],
)
def test_no_line_commands_a_runner(line: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert harmless(line) == line
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert harmless(line) == shown


def test_the_console_says_what_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    Console().under("one").say(OSC)
    assert capsys.readouterr().err == ("one: \\x1b]0;a title\\x07\\x9d0;b\\x9c\\x9b2J\n")
