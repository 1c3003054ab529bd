"""Lock files as text: what is written is read again; what uv answers."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.host.wheels import Wheel, marker
from slimbake.inside.locked import HEADER, Fault
from slimbake.lock.model import Pin
from slimbake.lock.resolve import Needed, parse_compiled
from slimbake.lock.text import lock_text, parse_pins

A, B = "a" * 64, "b" * 64

LOCK = (
    HEADER + "# asked for, via left, right\n"
    "# numpy-2.4-cp311-cp311-manylinux_2_28_aarch64.whl 15000000\n"
    "# numpy-2.4-cp311-cp311-manylinux_2_28_x86_64.whl -\n"
    'numpy==2.4 ; platform_machine == "x86_64" \\\n'
    f"    --hash=sha256:{A} \\\n"
    f"    --hash=sha256:{B}\n"
    "# asked for\n"
    "# torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl 160000000\n"
    "torch==2.13.0+cpu \\\n"
    f"    --hash=sha256:{A}\n"
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
        (Wheel("torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl", 160_000_000, A),),
        ("",),
    ),
)


def test_a_lock_says_what_is_pinned_and_who_needs_it() -> None:
    assert lock_text(PINS[::-1]) == LOCK
    assert parse_pins(LOCK) == PINS


NAMES = st.from_regex(r"[a-z0-9]{1,4}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)
WHEELS = st.builds(
    Wheel,
    st.from_regex(r"[a-z0-9_.+-]{1,20}\.whl", fullmatch=True),
    st.none() | st.integers(0, 10**12),
    st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)
PIN = st.builds(
    Pin,
    NAMES,
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(rc1|\.post2)?(\+[a-z0-9]{1,6})?", fullmatch=True),
    st.lists(WHEELS, min_size=1, max_size=3, unique=True).map(
        lambda wheels: tuple(sorted(wheels, key=lambda w: w.file))
    ),
    st.sets(st.just("") | NAMES, max_size=4).map(lambda names: tuple(sorted(names))),
    st.sampled_from(["", marker("linux/amd64"), marker("linux/arm64")]),
)


def test_pins_of_one_version_are_sorted_where_the_index_says_the_bytes_of_one_alone() -> None:
    known, unknown = (
        Pin("a", "1", (Wheel("a.whl", size, "0" * 64),), marker=marker(platform))
        for size, platform in ((1, "linux/amd64"), (None, "linux/arm64"))
    )
    assert parse_pins(lock_text([known, unknown])) == (unknown, known)


@given(st.lists(PIN, max_size=5, unique_by=lambda pin: pin.name))
def test_all_that_is_pinned_is_read_again(pins: list[Pin]) -> None:
    assert sorted(parse_pins(lock_text(pins)), key=repr) == sorted(pins, key=repr)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_with_its_line(text: str) -> None:
    with contextlib.suppress(Fault):
        parse_pins(text)


HASHED = f"only==1 \\\n    --hash=sha256:{A}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# only==1 a comment\n", 1),
        ("--index-url https://index.example.com\n", 1),
        ("-r other.txt\n", 1),
        ("-e .\n", 1),
        ("<<<<<<< HEAD\n", 1),
        ("only==1\n", 1),
        (
            f"# more-1-py3-none-any.whl 5\n{HASHED.replace('only', 'more')}only @ https://example.com/only.whl\n",
            4,
        ),
        (HASHED.replace("==", ">="), 1),
        (HASHED.replace("==1", "==1.*"), 1),
        (HASHED.replace("sha256", "md5"), 2),
        (HASHED.replace(A, A[:-1]), 2),
        (HASHED.replace(A, f"{A} --index-url=https://x"), 1),
        (HASHED.replace("==1", "==1 ; python_version > '3' --pre"), 1),
        (f"# only-1.whl 5\n# only-2.whl 5\n{HASHED}", 1),
    ],
)
def test_all_else_is_refused_with_its_line(text: str, line: int) -> None:
    good = f"{HEADER}# other-1.whl 5\n{HASHED}"
    with pytest.raises(Fault) as caught:
        parse_pins(good + text)
    assert str(caught.value).startswith(f"{good.count(chr(10)) + line}: ")
    assert parse_pins(good)[0].hashes == (f"sha256:{A}",)


# --- what uv answers


def test_a_resolution_says_what_needs_what_and_what_is_ours() -> None:
    text = (
        "# a comment\nanyio==4.16.0             # via httpx, -r /scratch/family.api.in, -c"
        " /scratch/constraints.txt\nhttpx[http2]==0.28.1      # via -r"
        ' /scratch/family.api.in\ncolorama==0.4 ; sys_platform == "win32"  # via click\nalone==1\n'
        "    # from https://packages.example.com/simple\n"
    )
    assert parse_compiled(text) == (
        Needed("anyio", "4.16.0", ("", "httpx")),
        Needed("httpx", "0.28.1", ("",)),
        Needed("colorama", "0.4", ("click",)),
        Needed("alone", "1", (), "https://packages.example.com/simple"),
    )
