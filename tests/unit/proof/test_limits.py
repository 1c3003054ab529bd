"""Limits: what is used of a layer, what is left to do, what cannot be known, and what is read of
files for it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import struct
from collections.abc import Iterable
from pathlib import Path

import pytest

from slimbake.checks.limits import (
    Action,
    Laid,
    Limits,
    Observed,
    ObservedFile,
    is_used,
    limits,
    with_sources,
)
from slimbake.console.tables import Layout
from slimbake.inside.check.native import native
from slimbake.inside.check.touched import Mapped, take_mappings
from slimbake.proof import limits as report

SITE = "opt/slimbake/lib/python3.11/site-packages"
TORCH = f"{SITE}/torch/lib/libtorch_cpu.so"
RUNTIME = Laid("sha256:run", {"usr/bin/python3.11": 1000}, runtime=True)
BASE = Laid(
    "sha256:base",
    {
        f"{SITE}/a.py": 300,
        f"{SITE}/b.py": 200,
        f"{SITE}/c.py": 100,
        f"{SITE}/a-1.dist-info/METADATA": 50,
    },
)
ONE, TWO = Laid("sha256:one", {"app/one.py": 10}), Laid("sha256:two", {"app/two.py": 20})
IMAGES = {"one": ("sha256:1", (RUNTIME, BASE, ONE)), "two": ("sha256:2", (RUNTIME, BASE, TWO))}


def opened(*paths: str) -> Observed:
    return Observed(tuple(ObservedFile(path, 100, True, 4096, 0, 0) for path in paths), 4096, 0)


BOTH = {"one": opened(f"{SITE}/a.py", "app/one.py"), "two": opened(f"{SITE}/b.py", "app/two.py")}


def test_what_any_service_on_a_layer_opens_is_used_by_all_on_it() -> None:
    one, two = limits(IMAGES, BOTH, {})
    assert (one.image, one.above, one.used) == (1660, 660, 300 + 200 + 50 + 10)
    assert (two.image, two.above, two.used) == (1670, 670, 300 + 200 + 50 + 20)
    assert one.ratio == 660 / 560


def test_a_service_that_was_not_observed_leaves_the_use_of_its_layers_unmeasured() -> None:
    one, two = limits(IMAGES, {"one": BOTH["one"]}, {})
    assert (one.used, one.ratio, one.opened) == (
        None,
        None,
        200,
    ), "what the other opens of the base is not known"
    assert (two.opened, two.touched, two.used, two.left) == (None, None, None, None)


def test_the_smallest_set_is_the_image_itself_until_a_search_finds_a_smaller_one() -> None:
    one, two = limits(IMAGES, BOTH, {"one": 830, "two": 5_000})
    assert (one.smallest, one.as_json()["smallest_ratio"]) == (830, 2.0)
    assert (two.smallest, two.as_json()["smallest_ratio"]) == (1670, 1.0)
    one, two = limits(IMAGES, {"one": BOTH["one"]}, {})
    assert one.smallest == 1660
    assert (two.smallest, two.as_json()["smallest_ratio"]) == (
        None,
        None,
    ), "nothing is known of whether it works"


@pytest.mark.parametrize(
    ("path", "used"),
    [
        (f"{SITE}/pkg/__init__.py", True),  # its bytecode is opened
        (f"{SITE}/pkg/other.py", False),
        (f"{SITE}/pkg/LICENSE.txt", True),
        (f"{SITE}/pkg-1.0.dist-info/RECORD", True),
        ("var/lib/dpkg/status.d/libc6", True),
        ("opt/slimbake/ledger/base-ml.json.gz", True),
        (f"{SITE}/_slimbake_ledger.py", True),
        (f"{SITE}/pkg/data.json", False),
    ],
)
def test_licences_metadata_and_the_source_of_opened_bytecode_are_used(
    path: str, used: bool
) -> None:
    found = with_sources({f"{SITE}/pkg/__pycache__/__init__.cpython-311.pyc"})
    assert is_used(path, found) == used


def left(files: Iterable[ObservedFile], image: int = 1000) -> tuple[Action, ...]:
    layer = Laid(
        "sha256:all",
        {file.path: file.bytes for file in files} | {"rest": image - sum(f.bytes for f in files)},
    )
    (found,) = limits({"one": ("sha256:1", (layer,))}, {"one": Observed(tuple(files), 0, 0)}, {})
    assert found.left is not None
    return found.left


def test_what_nobody_opens_can_be_pruned() -> None:
    assert left([ObservedFile("a", 400, True, 400, 0, 0)]) == (Action("prune", 600),)


def test_symbols_can_be_stripped_also_of_what_is_not_opened() -> None:
    files = [ObservedFile("a", 900, True, 900, 300, 0), ObservedFile("b", 100, False, 0, 50, 0)]
    assert left(files)[1] == Action("strip", 350)


def test_shared_libraries_of_one_package_hardly_touched_ask_for_another_runtime() -> None:
    rest = ObservedFile("app/x.py", 300, True, 300, 0, 0)
    assert left([ObservedFile(TORCH, 700, True, 100, 0, 0), rest]) == (
        Action("other runtime", 600, "torch"),
    )
    assert left([ObservedFile(TORCH, 700, True, 600, 0, 0), rest]) == (), "most of it is touched"
    assert (
        left([ObservedFile(TORCH, 300, True, 10, 0, 0), ObservedFile("x", 700, True, 700, 0, 0)])
        == ()
    ), "it is not most of what is opened"


def test_fp32_weights_can_be_quantised() -> None:
    files = [ObservedFile("weights/model.safetensors", 1000, True, 1000, 0, 800)]
    assert left(files) == (Action("quantise", 600),)


def test_what_is_not_worth_it_is_not_named() -> None:
    assert left([ObservedFile("a", 981, True, 981, 19, 0)]) == ()


FOUND = Limits(
    "embedding",
    "sha256:1",
    1_117_400_000,
    770_000_000,
    None,
    320_000_000,
    400_000_000,
    0,
    1_070_400_000,
    794_300_000,
    (Action("strip", 112_400_000), Action("other runtime", 403_000_000, "torch")),
)
UNKNOWN = Limits("hub", "sha256:2", 50_000_000, None, None, None, None, None, 3_000_000, None, None)
WIDE = Layout(0)


def test_the_table_says_how_far_each_image_is_and_what_is_left() -> None:
    headings, *rows = (
        re.split(r"  +", line) for line in report.limits_text((FOUND, UNKNOWN), WIDE).splitlines()
    )
    assert headings == list(report.HEADINGS)
    assert rows == [
        [
            "embedding",
            "strip 112.4 MB, other runtime than torch 403.0 MB",
            "1,117.4 MB",
            "770.0 MB",
            "1.45x",
            "unmeasured",
            "unmeasured",
            "320.0 MB",
            "3.49x",
            "1,070.4 MB",
            "794.3 MB",
            "1.35x",
        ],
        ["hub", "unmeasured", "50.0 MB", *["unmeasured"] * 6, "3.0 MB", "unmeasured", "unmeasured"],
    ]


def test_pages_that_others_read_are_reported_where_they_are_many() -> None:
    disturbed = dataclasses.replace(FOUND, disturbed=17_000_000)
    said = "embedding: others read 17.0 MB of its files meanwhile, or kept them: not counted"
    assert report.limits_text((disturbed,), WIDE).splitlines()[2:] == [said]


def test_an_image_above_the_ratio_or_of_an_unknown_one_is_named() -> None:
    assert report.above((FOUND, UNKNOWN), 1.15) == (
        (
            "embedding: 1,070.4 MB above the runtime are 1.35x the 794.3 MB that are used, 1.15x at"
            " most"
        ),
        "hub: what is used of its 3.0 MB above the runtime is unmeasured",
    )
    assert report.above((FOUND,), 1.4) == ()


def elf(sections: dict[str, tuple[int, int]], order: str = "<") -> bytes:
    """A 64-bit ELF file: section -> its flags and bytes."""
    names = b"\0" + b"\0".join(name.encode() for name in (*sections, ".shstrtab")) + b"\0"
    head = struct.pack(
        order + "4s5B7x2HI3QI6H",
        b"\x7fELF",
        2,
        1 if order == "<" else 2,
        1,
        0,
        0,
        3,
        62,
        1,
        0,
        0,
        64,
        0,
        64,
        0,
        0,
        64,
        len(sections) + 1,
        len(sections),
    )
    table = b""
    for name, (flags, size) in {**sections, ".shstrtab": (0, len(names))}.items():
        start = 64 + 64 * (len(sections) + 1)
        table += struct.pack(
            order + "2I4Q2I2Q",
            names.index(f"\0{name}\0".encode()) + 1,
            1,
            flags,
            0,
            start,
            size,
            0,
            0,
            1,
            0,
        )
    return head + table + names


@pytest.mark.parametrize("order", ["<", ">"])
def test_symbols_and_debugging_sections_are_strippable_what_is_loaded_is_not(
    tmp_path: Path, order: str
) -> None:
    made = elf(
        {
            ".text": (6, 9000),
            ".dynsym": (2, 500),
            ".symtab": (0, 70),
            ".strtab": (0, 20),
            ".debug_info": (0, 4),
        },
        order,
    )
    (tmp_path / "libx.so.1").write_bytes(made)
    assert native(tmp_path / "libx.so.1") == (94, 0)


def test_only_fp32_tensors_of_safetensors_count(tmp_path: Path) -> None:
    tensors = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]},
    }
    header = json.dumps(tensors).encode()
    (tmp_path / "model.safetensors").write_bytes(
        struct.pack("<Q", len(header)) + header + bytes(12)
    )
    assert native(tmp_path / "model.safetensors") == (0, 8)


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 80, b"#!/bin/sh\n" * 20]
)
def test_what_cannot_be_read_has_nothing_to_strip(tmp_path: Path, content: bytes) -> None:
    for name in ("x.so", "x.safetensors"):
        (tmp_path / name).write_bytes(content)
        assert native(tmp_path / name) == (0, 0)


SMAPS = """\
7f0000000000-7f0000100000 r--p 00000000 00:2a 77 {0}
Size: 1024 kB
Rss: {1} kB
VmFlags: rd mr
7f0000100000-7f0000200000 r-xp 00100000 00:2a 77 {0}
Rss: 64 kB
VmFlags: rd ex
7f0000200000-7f0000300000 rw-p 00000000 00:00 0
Rss: 999 kB
VmFlags: rd wr
"""


def test_of_several_looks_at_a_mapping_the_largest_counts() -> None:
    mapped: dict[str, Mapped] = {}
    for kilobytes in (8, 16, 4):
        take_mappings(SMAPS.format("/usr/lib/a b.so", kilobytes), mapped)
    assert list(mapped) == ["/usr/lib/a b.so"]
    assert (mapped["/usr/lib/a b.so"].bytes, mapped["/usr/lib/a b.so"].executable) == (
        80 * 1024,
        True,
    )
