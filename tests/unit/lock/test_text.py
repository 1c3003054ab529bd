"""Lock files as text: what is written is read again; what uv answers."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.host.wheels import Wheel, marker
from slimbake.lock.model import Pin
from slimbake.lock.resolve import Needed, parse_compiled
from slimbake.lock.text import HEADER, lock_text, parse_pins

A, B = "a" * 64, "b" * 64

LOCK = (
    HEADER + "# asked for, via left, right\n"
    "# numpy-2.4-cp311-cp311-manylinux_2_28_aarch64.whl 15000000\n"
    "# numpy-2.4-cp311-cp311-manylinux_2_28_x86_64.whl -\n"
    'numpy==2.4 ; platform_machine == "x86_64" \\\n'
    f"    --hash=sha256:{A} \\\n"
    f"    --hash=sha256:{B}\n"
    "# asked for\n"
    "# torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl 160000000 unresolved\n"
    "torch==2.13.0+cpu\n"
)
PINS = (
    Pin(
        "numpy",
        "2.4",
        (
            Wheel("numpy-2.4-cp311-cp311-manylinux_2_28_aarch64.whl", 15_000_000, A),
            Wheel("numpy-2.4-cp311-cp311-manylinux_2_28_x86_64.whl", None, B),
        ),
        ("", "left", "right"),
        'platform_machine == "x86_64"',
    ),
    Pin(
        "torch",
        "2.13.0+cpu",
        (Wheel("torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl", 160_000_000, ""),),
        ("",),
    ),
)


def test_a_lock_says_what_is_pinned_who_needs_it_and_where_a_hash_is_missing() -> None:
    assert lock_text(PINS[::-1]) == LOCK


def test_a_lock_is_read_as_it_is_written() -> None:
    assert parse_pins(LOCK) == PINS


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
WHEELS = st.builds(
    Wheel,
    st.from_regex(r"[a-z0-9_.+-]{1,20}\.whl", fullmatch=True),
    st.none() | st.integers(0, 10**12),
    st.just("") | st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)
PIN = st.builds(
    Pin,
    NAMES,
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(rc1|\.post2)?(\+[a-z0-9]{1,6})?", fullmatch=True),
    st.lists(WHEELS, max_size=3, unique=True).map(
        lambda wheels: tuple(sorted(wheels, key=lambda w: w.file))
    ),
    st.sets(st.just("") | NAMES, max_size=4).map(lambda names: tuple(sorted(names))),
    st.sampled_from(["", marker("linux/amd64"), marker("linux/arm64")]),
)


def test_pins_of_one_version_are_sorted_where_the_index_says_the_bytes_of_one_alone() -> None:
    known, unknown = (Pin("a", "1", (Wheel("a.whl", size, "0" * 64),)) for size in (1, None))
    assert parse_pins(lock_text([known, unknown])) == (unknown, known)


@given(st.lists(PIN, max_size=5))
def test_all_that_is_pinned_is_read_again(pins: list[Pin]) -> None:
    assert sorted(parse_pins(lock_text(pins)), key=repr) == sorted(pins, key=repr)


@given(st.text(max_size=300))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    parse_pins(text)


@pytest.mark.parametrize(
    "text",
    ["", "# only==1 a comment\n", "--index-url https://index.example.com\n", "<<<<<<< HEAD\n"],
)
def test_what_is_no_pin_is_passed_over(text: str) -> None:
    assert parse_pins(text) == ()


# --- what uv answers


def test_a_resolution_says_what_needs_what_and_what_is_ours() -> None:
    text = (
        "# a comment\nanyio==4.16.0             # via httpx, -r /scratch/family.api.in, -c"
        " /scratch/constraints.txt\nhttpx[http2]==0.28.1      # via -r"
        ' /scratch/family.api.in\ncolorama==0.4 ; sys_platform == "win32"  # via click\nalone==1\n'
    )
    assert parse_compiled(text) == (
        Needed("anyio", "4.16.0", ("", "httpx")),
        Needed("httpx", "0.28.1", ("",)),
        Needed("colorama", "0.4", ("click",)),
        Needed("alone", "1", ()),
    )


def test_pins_are_compared_by_all_they_say() -> None:
    assert dataclasses.replace(PINS[0], marker="") != PINS[0]
    assert PINS[0].hashes == (f"sha256:{A}", f"sha256:{B}") and PINS[1].hashes == ()
