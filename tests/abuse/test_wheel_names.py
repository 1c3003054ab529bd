"""Names of wheels that an index makes up: no lock has a line that an index wrote, and nothing is a bug."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.abuse.conftest import Slimbake
from tests.index import Index, serving
from tests.wheels import wheel_bytes

from slimbake.errors import SetupError
from slimbake.host.wheels import Wheel
from slimbake.lock.locking import _readable
from slimbake.lock.model import Pin
from slimbake.lock.text import lock_text, parse_pins

MANIFEST = """\
project: toys
python: "3.11"
services: {one: {context: one, requirements: [odd], command: [a]}}
"""
FORGED = "evil==1"
PARTS = {
    **{f"U+{ord(end):04X}": f"1{end}{FORGED}" for end in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"},
    "an end of a line and an option": "1\n.\n# a",
    "an end of a line and a comment": "1\n# via evil",
    "NUL": "1\0a",
    "ESC": "1\x1b[2J",
    "DEL": "1\x7f",
    "a space": "1 a",
    "a tab": "1\ta",
    "a space that does not break": "1\xa0a",
    "a letter": "1\xe9",
    "a mark of the order": "1\ufeff",
    "a right-to-left mark": "1\u202e",
    "a folder above": "1/../../a",
    "a folder of Windows": "1\\\\a",
    "a quote": "1'\"",
    "a hash": "1#a",
    "a continuation": "1 \\\\",
    "a very long one": "1" + "a" * 3000,
    "an expression": "1${{ a }}",
}


@pytest.mark.parametrize("kind", PARTS)
def test_what_would_be_no_lock_is_not_written(kind: str) -> None:
    wheel = Wheel("odd-1-py3-none-any.whl", 9, "0" * 64)
    good = Pin("odd", "1", (wheel,), ("", "other"))
    odd = f"odd-{PARTS[kind]}-py3-none-any.whl"
    parts = (
        replace(good, wheels=(replace(wheel, file=odd),)),
        replace(good, version=PARTS[kind]),
        replace(good, name=PARTS[kind]),
        replace(good, via=("", PARTS[kind])),
        replace(good, wheels=(), built=f"https://x/{odd}"),
    )
    assert parse_pins(_readable(lock_text([good]), "one")) == (good,)
    for pin in parts:
        try:
            assert parse_pins(_readable(lock_text([pin]), "one")) == (pin,)
        except SetupError as error:
            assert "the packages of one cannot be locked: line" in str(error)


def _odd(index: Index, part: str) -> None:
    """Have the index give its only wheel such an address. uv refuses such names itself."""
    content = wheel_bytes("odd", "1")
    index.publish("odd", "odd-1-py3-none-any.whl", content)
    odd = f"odd-{part}-py3-none-any.whl"
    index.files[odd] = content
    index.entries["odd"][0]["url"] = f"/files/{quote(odd, safe='')}"


@pytest.mark.parametrize("kind", PARTS)
def test_no_name_of_a_wheel_is_a_line_of_a_lock(
    kind: str, slimbake: Slimbake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "services.yaml").write_text(MANIFEST)
    with serving() as index:
        _odd(index, PARTS[kind])
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        ended = slimbake("lock", at=tmp_path)
    lock = tmp_path / "bake/locks/one.txt"
    if lock.exists():
        assert [pin.name for pin in parse_pins(lock.read_text())] == ["odd"]
    else:
        assert ended.code
