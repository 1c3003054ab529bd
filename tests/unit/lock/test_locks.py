"""The committed locks as one value: what they answer, and why one is stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimbake.lock.locks import (
    INPUTS,
    LockRecord,
    Locks,
    Stale,
    lock_file,
    read_locks,
    text_digest,
    write_locks,
)

RECORDED = f'{{"api": {{"asked": "asked", "lock": "{text_digest("text")}"}}}}'


@pytest.mark.parametrize(
    ("name", "asked", "text", "why", "new"),
    [
        ("api", "asked", "text", "", False),
        ("other", "asked", None, "it was never locked", True),
        ("other", "asked", "text", "nothing says what it answers", False),
        ("api", "asked", None, "its file is missing", False),
        ("api", "more", "text", "what it answers has changed", False),
        ("api", "asked", "texts", "its file was edited", False),
    ],
)
def test_a_lock_is_stale_for_one_reason(
    name: str, asked: str, text: str | None, why: str, new: bool
) -> None:
    files = {lock_file(INPUTS): RECORDED} | ({} if text is None else {lock_file(name): text})
    found = Locks(files).compared(name, asked)
    assert found == (Stale(name, why, new) if why else None)
    assert not found or str(found) == f"{name} ({why})"


def test_what_is_recorded_is_read_again_and_is_a_line_each(tmp_path: Path) -> None:
    records = {"b": LockRecord("1", "2"), "a": LockRecord("3", "4")}
    write_locks(tmp_path, {}, records)
    locks = read_locks(tmp_path)
    assert locks.records == records
    assert (locks.text(INPUTS) or "").splitlines() == [
        "{",
        ' "a": {"asked": "3", "lock": "4"},',
        ' "b": {"asked": "1", "lock": "2"}',
        "}",
    ]


@pytest.mark.parametrize(
    "text", ["", "{}", "<<<<<<< HEAD\n{}", "[]", '{"a": 1}', '{"a": {"other": "x"}}', "null"]
)
def test_what_is_no_record_records_nothing(text: str) -> None:
    assert Locks({lock_file(INPUTS): text}).records == {}
