"""Has the loader look for the libraries of a program beside it, as `patchelf --force-rpath` does.

The distilled interpreter lies in a folder of its own in an image that has none. `patchelf` would be a
tool to fetch and pin for one string, so it is set here.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ..elf import DT_STRTAB, Segment, dynamic_entries, read_header, read_segments
from ..step import StepError

_NOTE = 4  # the kind of segment that has the build ID
_DT_NULL, _DT_RPATH, _DT_RUNPATH = 0, 15, 29
_BUILD_ID = struct.pack("<III4s", 4, 20, 3, b"GNU\0")  # how a note of 20 bytes begins


def with_rpath(program: bytes, rpath: bytes) -> bytes:
    """A program of 64 bits, little-endian, with this DT_RPATH in place of any that it has.

    The loader looks there for the libraries of the program, and for those of what it loads: a
    DT_RUNPATH would do so for the program alone. `rpath`: at most 19 bytes. The text takes the place
    of the build ID, which only debuggers read, so that nothing moves. Raises StepError for a program
    without room.
    """
    if program[:6] != b"\x7fELF\x02\x01" or len(rpath) > 19:
        raise StepError("the interpreter of the Python image is no program of 64 bits")
    header = read_header(program)
    segments = read_segments(program, header)
    entries = list(dynamic_entries(program, header, segments))
    text = _build_id(program, segments)
    tables = [value for _, kind, value in entries if kind == DT_STRTAB]
    place = _entry(entries)
    if text is None or place is None or not tables:
        raise StepError(
            "the interpreter of the Python image has no room for the folder of its libraries: it has"
            " no build ID"
        )
    data = bytearray(program)
    in_file, address = text
    data[in_file : in_file + 20] = rpath.ljust(20, b"\0")
    # The loader adds the value to the address of the table of strings, and wraps around.
    struct.pack_into("<qQ", data, place, _DT_RPATH, (address - tables[0]) % 2**64)
    return bytes(data)


def _entry(entries: Sequence[tuple[int, int, int]]) -> int | None:
    """The place of the entry that names folders of libraries, else of one that linkers leave free."""
    for place, kind, _ in entries:
        if kind in (_DT_RPATH, _DT_RUNPATH):
            return place
    free = [place for place, kind, _ in entries if kind == _DT_NULL]
    return free[0] if len(free) > 1 else None  # the last one ends the section


def _build_id(program: bytes, segments: Sequence[Segment]) -> tuple[int, int] | None:
    """The place in the file, and the address, of the build ID."""
    for segment in segments:
        if segment.kind == _NOTE:
            found = program.find(_BUILD_ID, segment.start, segment.end)
            if found >= 0:
                offset = found + len(_BUILD_ID)
                return offset, segment.address + offset - segment.start
    return None
