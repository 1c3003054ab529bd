"""Removes symbols that only debuggers read from libraries, and changes nothing else.

The loader maps the segments of a file and follows tables in them: `.dynsym`, the libraries that are
needed, relocations, unwinding. `.symtab` and `.debug_*` are in no segment: linkers, debuggers and
profilers read them, and no process does. binutils' strip also changes segments, which breaks some
libraries that auditwheel has patched. Here each segment keeps every byte, and the address that it
is mapped at.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .step import PREFIX

MAGIC = b"\x7fELF"
# Of an image: shared libraries, and the Debian packages that have them.
LIBRARIES = PREFIX / "libraries.txt"
_LOAD, _DYNAMIC = 1, 2  # kinds of segments
_DT_NEEDED, DT_STRTAB = 1, 5  # kinds of entries of the dynamic section
_NULL, _SYMTAB, _STRTAB, _NOBITS, _SYMTAB_SHNDX = 0, 2, 3, 8, 18  # kinds of sections
_ALLOC = 2
_DEBUG = re.compile(rb"(\.rela?)?\.(z?debug|stab|gdb_index|gnu\.(debuglto_|build\.attributes)).*")
_Bytes = bytes | mmap.mmap
# What struct, index and slices raise for what no linker writes.
_MALFORMED = (struct.error, IndexError, ValueError, OverflowError)


class Header(NamedTuple):
    """The header of a file, and how its numbers are written."""

    order: str  # of bytes, as struct has it
    wide: bool  # 64 bits
    size: int
    segments: range  # the places of the segments' headers
    sections: range  # the places of the sections' headers
    names: int  # the number of the section that holds the sections' names

    def unpack(self, narrow: str, wide: str, data: _Bytes, place: int) -> tuple[Any, ...]:
        """The numbers at a place: `narrow` is their layout with 32 bits, `wide` with 64."""
        layout = wide if self.wide else narrow
        return struct.unpack_from(f"{self.order}{layout}", data, place)

    @property
    def places(self) -> tuple[int, int]:
        """Where it says where the segments' headers are, and the sections'."""
        return (0x20, 0x28) if self.wide else (0x1C, 0x20)

    @property
    def section_start(self) -> int:
        """Where in its header a section says where it is in the file."""
        return 0x18 if self.wide else 0x10

    @property
    def word(self) -> struct.Struct:
        """A place in the file, as headers have it."""
        return struct.Struct(f"{self.order}{'Q' if self.wide else 'I'}")


class Segment(NamedTuple):
    header: int  # the place of its header
    kind: int
    start: int  # in the file
    size: int  # in the file
    address: int  # in memory
    align: int

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class _Section:
    name: bytes
    kind: int
    start: int
    end: int
    align: int
    link: int
    loaded: bool  # it is part of what a process maps

    @property
    def is_empty(self) -> bool:
        """Whether it has no bytes in the file."""
        return self.kind in (_NULL, _NOBITS) or self.end <= self.start


@dataclass(frozen=True)
class _Elf:
    """All that the headers of a file say."""

    header: Header
    places: tuple[int, ...]  # where headers say where in the file something is
    # the parts of the file that a process maps, in order, each apart from the next
    loaded: tuple[tuple[int, int], ...]
    page: int  # segments lie at multiples of this from where they would lie in memory
    sections: tuple[_Section, ...]
    end: int  # of all that the headers name


def is_elf(path: Path) -> bool:
    """Whether a path is a file that begins as an ELF file does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def needed(path: Path) -> tuple[str, ...]:
    """The names of the shared libraries that a file asks the loader for; () if it is no ELF file."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return tuple(_needed(data)) if data[:4] == MAGIC else ()
    except (OSError, *_MALFORMED):
        return ()


def _needed(data: mmap.mmap) -> Iterator[str]:
    """The entries of the dynamic section that name libraries."""
    header = read_header(data)
    segments = read_segments(data, header)
    names: list[int] = []  # their places in the table of texts
    table = None  # its address
    for _, tag, value in dynamic_entries(data, header, segments):
        if tag == _DT_NEEDED:
            names.append(value)
        elif tag == DT_STRTAB and table is None:
            table = value
    if table is None:
        return
    for segment in segments:
        if segment.kind == _LOAD and 0 <= table - segment.address < segment.size:
            texts = segment.start + table - segment.address
            for name in names:
                end = data.find(b"\0", texts + name)
                yield data[texts + name : end].decode("utf-8", "replace")
            return


def dynamic_entries(
    data: _Bytes, header: Header, segments: Iterable[Segment]
) -> Iterator[tuple[int, int, int]]:
    """Each entry of the dynamic section: its place in the file, its kind and its value."""
    entry_size = 16 if header.wide else 8
    for segment in segments:
        if segment.kind == _DYNAMIC:
            for place in range(segment.start, segment.end, entry_size):
                kind, value = header.unpack("iI", "qQ", data, place)
                yield place, kind, value


def read_header(data: _Bytes) -> Header:
    """The header of a file. Raises what struct does."""
    wide = data[4] == 2
    order = "<" if data[5] == 1 else ">"
    layout = f"{order}16sHHI{'QQQ' if wide else 'III'}IHHHHHH"
    fields = struct.unpack_from(layout, data)
    segments, sections = fields[5:7]
    segment_size, segment_count, section_size, section_count, names = fields[9:]
    return Header(
        order=order,
        wide=wide,
        size=struct.calcsize(layout),
        segments=_places(segments, segment_size, segment_count),
        sections=_places(sections, section_size, section_count),
        names=names,
    )


def _places(first: int, size: int, count: int) -> range:
    """The places of so many headers; headers without a size are none."""
    return range(first, first + size * count, max(size, 1))


def read_segments(data: _Bytes, header: Header) -> list[Segment]:
    """The segments of a file. Raises what struct does."""
    segments = []
    for place in header.segments:
        entry = header.unpack("IIIIIIII", "IIQQQQQQ", data, place)
        if header.wide:
            kind, _, start, address, _, size, _, align = entry
        else:
            kind, start, address, _, size, _, _, align = entry
        segments.append(Segment(place, kind, start, size, address, align))
    return segments


def strip_elf(source: Path, target: Path) -> bool:
    """Write a library without the symbols that only debuggers read.

    Symbols that the loader reads stay. Bytes between segments become zeros, which compress to
    nothing. Returns False, and writes nothing, if there are none of these symbols, or if anything
    else might differ.
    """
    data = source.read_bytes()
    try:
        elf = _read(data)
        if elf is None or elf.end > len(data) or not _is_plain(elf):
            return False
        # A program may read its own file from the end, behind all sections.
        if data[elf.end :].strip(b"\0"):
            return False
        removed = frozenset(_removed(elf))
        stripped = _without(data, elf, removed)
    except _MALFORMED:
        return False
    if not removed or len(stripped) > len(data):
        return False
    target.write_bytes(stripped)
    return True


def _removed(elf: _Elf) -> Iterator[int]:
    """The numbers of the sections that only debuggers read."""
    symbols = set()
    for number, section in enumerate(elf.sections):
        if section.kind in (_SYMTAB, _SYMTAB_SHNDX):
            symbols |= {number, section.link}  # the names of symbols
    symbols.discard(elf.header.names)
    for number, section in enumerate(elf.sections):
        for_debuggers = number in symbols or _DEBUG.fullmatch(section.name)
        if for_debuggers and _is_unmapped(elf, section):
            yield number


def _is_plain(elf: _Elf) -> bool:
    """Whether each section lies in one part of the file that a process maps, or apart from all of
    them: then it is known where it moves.
    """
    for section in elf.sections:
        if section.is_empty or _is_unmapped(elf, section):
            continue
        if not any(start <= section.start and section.end <= end for start, end in elf.loaded):
            return False
    return True


def _is_unmapped(elf: _Elf, section: _Section) -> bool:
    """Whether a section has bytes, and none that a process maps."""
    if section.loaded or section.is_empty:
        return False
    return not any(start < section.end and section.start < end for start, end in elf.loaded)


def _pad(result: bytearray, count: int, limit: int) -> None:
    """Add zeros. Raises ValueError above the limit: a damaged file may ask for 2**63 of them."""
    if len(result) + count > limit:
        raise ValueError("it would be larger than before")
    result += bytes(count)


def _without(data: bytes, elf: _Elf, removed: frozenset[int]) -> bytes:
    """The file without some sections: what is mapped, the other sections, the section headers.

    A removed section keeps an empty header, so that no other section changes its number.
    """
    header = elf.header
    result = bytearray()
    shifts = [(0, 0)]  # from where on the file moves, and by how many bytes
    for start, end in elf.loaded:
        # Whole pages between two parts that are mapped are left out.
        _pad(result, (start - len(result)) % elf.page, len(data))
        shifts.append((start, len(result) - start))
        result += data[start:end]

    def moved(place: int) -> int:
        shift = 0
        for start, by in shifts:
            if start <= place:
                shift = by
        return place + shift

    for place in elf.places:
        (value,) = header.word.unpack_from(result, moved(place))
        header.word.pack_into(result, moved(place), moved(value))
    size = header.sections.step
    headers = bytearray(data[header.sections.start : header.sections.stop])
    for number, section in enumerate(elf.sections):
        if number in removed:
            headers[number * size : (number + 1) * size] = bytes(size)
            continue
        start = moved(section.start)
        if _is_unmapped(elf, section):
            _pad(result, -len(result) % max(1, section.align), len(data))
            start = len(result)
            result += data[section.start : section.end]
        header.word.pack_into(headers, number * size + header.section_start, start)
    result += bytes(-len(result) % 8)
    header.word.pack_into(result, header.places[1], len(result))
    result += headers
    return bytes(result)


def _read(data: bytes) -> _Elf | None:
    """Read all headers of a file.

    None if it is no ELF file, has no headers of segments or sections, or more than its header can
    say.
    """
    if data[:4] != MAGIC:
        return None
    header = read_header(data)
    if not header.segments or header.names >= len(header.sections):
        return None
    places = [*header.places]
    mapped = [(0, header.size), (header.segments.start, header.segments.stop)]
    page = 1
    for segment in read_segments(data, header):
        places.append(segment.header + (8 if header.wide else 4))
        if segment.size:
            mapped.append((segment.start, segment.end))
        if segment.kind == _LOAD:
            page = max(page, segment.align)
    sections = _read_sections(data, header)
    end = max(header.sections.stop, *(part_end for _, part_end in mapped))
    for section in sections:
        if section.kind not in (_NULL, _NOBITS):
            end = max(end, section.end)
    return _Elf(header, tuple(places), _merged(mapped), page, sections, end)


def _merged(mapped: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Parts of a file in order; those that meet or overlap are one."""
    parts: list[tuple[int, int]] = []
    for start, end in sorted(mapped):
        if parts and start <= parts[-1][1]:
            parts[-1] = (parts[-1][0], max(end, parts[-1][1]))
        else:
            parts.append((start, end))
    return tuple(parts)


def _read_sections(data: bytes, header: Header) -> tuple[_Section, ...]:
    entries = [header.unpack("IIIIIIIII", "IIQQQQIIQ", data, place) for place in header.sections]
    names = entries[header.names][4]
    sections = []
    for name, kind, flags, _, start, size, link, _, align in entries:
        text = data[names + name : data.index(b"\0", names + name)]
        loaded = bool(flags & _ALLOC)
        sections.append(_Section(text, kind, start, start + size, align, link, loaded))
    return tuple(sections)
