"""Takes symbols that only debuggers read out of libraries, and shows that nothing else has changed.

The loader maps the segments of a file and follows tables that lie in them: `.dynsym`, the libraries
that are needed, relocations, unwinding. `.symtab` and `.debug_*` lie in no segment: linkers,
debuggers and profilers read them, and no process does. binutils' strip also changes segments, which
breaks some libraries that auditwheel has patched; here each stays as it is, to the byte, and is
mapped at the same address.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .step import PREFIX

MAGIC = b"\x7fELF"
# Of an image: shared libraries, and the Debian packages that have them.
LIBRARIES = PREFIX / "libraries.txt"
_LOAD, _DYNAMIC = 1, 2  # kinds of segments
_DT_NEEDED, _DT_STRTAB = 1, 5
_SYMTAB, _STRTAB, _NOBITS, _SYMTAB_SHNDX = 2, 3, 8, 18
_ALLOC = 2
_DEBUG = re.compile(rb"(\.rela?)?\.(z?debug|stab|gdb_index|gnu\.(debuglto_|build\.attributes)).*")


@dataclass(frozen=True)
class _Section:
    name: bytes
    kind: int
    start: int
    end: int
    align: int
    link: int
    loaded: bool  # it is part of what a process maps


@dataclass(frozen=True)
class _Elf:
    order: str
    wide: bool
    places: tuple[int, ...]  # where headers say where in the file something is
    segments: tuple[tuple[int, int], ...]  # of the file, those that have bytes there
    page: int  # segments lie at multiples of this from where they would lie in memory
    sections: tuple[_Section, ...]
    names: int  # which section holds the sections' names
    headers: tuple[int, int]  # where the section headers are, and the bytes of each
    end: int  # of all that the headers name

    @property
    def loaded(self) -> list[tuple[int, int]]:
        """The parts of the file that a process maps, in order, each apart from the next."""
        parts: list[tuple[int, int]] = []
        for start, end in sorted(self.segments):
            if parts and start <= parts[-1][1]:
                parts[-1] = parts[-1][0], max(end, parts[-1][1])
            else:
                parts.append((start, end))
        return parts

    @property
    def word(self) -> struct.Struct:
        """A place in the file, as headers have it."""
        return struct.Struct(f"{self.order}{'Q' if self.wide else 'I'}")


def is_elf(path: Path) -> bool:
    """Whether a path is a file that begins as an ELF file does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def needed(path: Path) -> tuple[str, ...]:
    """The shared libraries that a file asks the loader for, by name; () where it is no ELF."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return tuple(_needed(data)) if data[:4] == MAGIC else ()
    except (OSError, struct.error, IndexError, ValueError, OverflowError):
        return ()


def _needed(data: mmap.mmap) -> Iterator[str]:
    """The entries of the dynamic section that name libraries."""
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    (phoff,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    segments = []  # kind, place in the file, address, bytes in the file
    for at in range(phoff, phoff + size * count, size):
        entry = struct.unpack_from(f"{order}{'IIQQQQ' if wide else 'IIIII'}", data, at)
        kind, start, address, length = (
            entry[place] for place in ((0, 2, 3, 5) if wide else (0, 1, 2, 4))
        )
        segments.append((kind, start, address, length))
    pair = f"{order}{'qQ' if wide else 'iI'}"
    rows = [
        struct.unpack_from(pair, data, at)
        for kind, start, _, length in segments
        if kind == _DYNAMIC
        for at in range(start, start + length, struct.calcsize(pair))
    ]
    tables = [value for tag, value in rows if tag == _DT_STRTAB]
    for kind, start, address, length in segments:
        if tables and kind == _LOAD and address <= tables[0] < address + length:
            names = start + tables[0] - address
            for tag, value in rows:
                if tag == _DT_NEEDED:
                    end = data.find(b"\0", names + value)
                    yield data[names + value : end].decode("utf-8", "replace")
            return


def strip_elf(source: Path, target: Path) -> bool:
    """Write a library without the symbols that only debuggers read; whether it had any, and is the
    same to everything else.

    Symbols that the loader reads stay. Between segments the others become zeros, which compress to
    nothing.
    """
    data = source.read_bytes()
    try:
        elf = _read(data)
        # Behind all sections lies what a program reads from its own end.
        if elf is None or elf.end > len(data) or data[elf.end :].strip(b"\0"):
            return False
        goes = frozenset(_going(elf))
        stripped = _without(data, elf, goes)
    except (struct.error, IndexError, ValueError, OverflowError):  # not what a linker writes
        return False
    if not goes or len(stripped) > len(data) or not same_when_loaded(data, stripped):
        return False
    target.write_bytes(stripped)
    return True


def _going(elf: _Elf) -> Iterator[int]:
    tables = (_SYMTAB, _SYMTAB_SHNDX)
    symbols = {number for number, section in enumerate(elf.sections) if section.kind in tables}
    symbols |= {elf.sections[number].link for number in symbols} - {elf.names}
    for number, section in enumerate(elf.sections):
        if _apart(elf, section) and (number in symbols or _DEBUG.fullmatch(section.name)):
            yield number


def _apart(elf: _Elf, section: _Section) -> bool:
    """Whether a section has bytes, and none that a process maps."""
    return (
        not section.loaded
        and section.kind not in (0, _NOBITS)
        and section.end > section.start
        and not any(low < section.end and section.start < high for low, high in elf.loaded)
    )


def _without(data: bytes, elf: _Elf, goes: frozenset[int]) -> bytes:
    """What is mapped, then what stays of the sections that are not, then the section headers.

    Between parts that are mapped, whole pages go. The header of what goes becomes empty, so that no
    other section has another number.
    """
    at, size = elf.headers
    headers = bytearray(data[at : at + size * len(elf.sections)])
    result = bytearray()
    moves = []  # from where on, and by how many bytes
    for start, end in elf.loaded:
        result += bytes((start - len(result)) % elf.page)
        moves.append((start, len(result) - start))
        result += data[start:end]

    def moved(place: int) -> int:
        return place + max((move for move in moves if move[0] <= place), default=(0, 0))[1]

    for place in elf.places:
        (value,) = elf.word.unpack_from(result, moved(place))
        elf.word.pack_into(result, moved(place), moved(value))
    offset = 0x18 if elf.wide else 0x10  # of a section's place in its header
    for number, section in enumerate(elf.sections):
        if number in goes:
            headers[number * size : (number + 1) * size] = bytes(size)
            continue
        start = moved(section.start)
        if _apart(elf, section):
            result += bytes(-len(result) % max(1, section.align))
            start = len(result)
            result += data[section.start : section.end]
        elf.word.pack_into(headers, number * size + offset, start)
    result += bytes(-len(result) % 8)
    elf.word.pack_into(result, 0x28 if elf.wide else 0x20, len(result))
    result += headers
    return bytes(result)


def same_when_loaded(before: bytes, after: bytes) -> bool:
    """Whether two ELF files differ in nothing but symbols that no loader reads, and where in the file
    something is.
    """
    try:
        was, now = _read(before), _read(after)
    except (struct.error, IndexError, ValueError, OverflowError):  # not what a linker writes
        return False
    if was is None or now is None or len(was.segments) != len(now.segments):
        return False
    kept = {
        (section.name, before[section.start : section.end])
        for section in was.sections
        if not section.loaded
        and section.kind not in (_SYMTAB, _SYMTAB_SHNDX, _STRTAB, _NOBITS, 0)
        and not _DEBUG.fullmatch(section.name)
    }
    left = {
        (section.name, after[section.start : section.end])
        for section in now.sections
        if not section.loaded
    }
    return (
        kept <= left
        and _within(was) == _within(now)
        and all(
            (new[0] - old[0]) % was.page == 0
            and _part(before, was, *old) == _part(after, now, *new)
            for old, new in zip(was.segments, now.segments, strict=True)
        )
    )


def _within(elf: _Elf) -> list[tuple[bytes, int, int]]:
    """The sections that are mapped: in which segment, and where there."""
    return [
        (section.name, number, section.start - start)
        for section in elf.sections
        if section.loaded and section.kind != _NOBITS and section.end > section.start
        for number, (start, end) in enumerate(elf.segments)
        if start <= section.start and section.end <= end
    ]


def _part(data: bytes, elf: _Elf, start: int, end: int) -> bytearray:
    """A part of a file, less what says where in the file something is."""
    inside = [place for place in elf.places if start <= place and place + elf.word.size <= end]
    part = bytearray(data[start:end])
    for place in inside:
        part[place - start : place - start + elf.word.size] = bytes(elf.word.size)
    return part


def _read(data: bytes) -> _Elf | None:
    """The headers of an ELF file; None where it has no section headers, or more than its header can
    say.
    """
    if data[:4] != MAGIC:
        return None
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    head = f"{order}16sHHI{'QQQ' if wide else 'III'}IHHHHHH"
    *_, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx = struct.unpack_from(
        head, data
    )
    if not shnum or shstrndx >= shnum:
        return None
    end = phoff + phnum * phentsize
    places = [0x20, 0x28] if wide else [0x1C, 0x20]
    segments = [(0, struct.calcsize(head)), (phoff, end)]
    pages = {1}
    for at in range(phoff, end, phentsize):
        entry = struct.unpack_from(f"{order}{'IIQQQQQQ' if wide else 'IIIIIIII'}", data, at)
        start, size = (entry[2], entry[5]) if wide else (entry[1], entry[4])
        segments += [(start, start + size)] if size else []
        places.append(at + (8 if wide else 4))
        pages |= {max(1, entry[7])} if entry[0] == _LOAD else set()
    rows = range(shoff, shoff + shnum * shentsize, shentsize)
    layout = f"{order}{'IIQQQQIIQ' if wide else 'IIIIIIIII'}"
    entries = [struct.unpack_from(layout, data, at) for at in rows]
    names = entries[shstrndx][4]
    sections = tuple(
        _Section(
            name=data[names + name : data.index(b"\0", names + name)],
            kind=kind,
            start=start,
            end=start + size,
            align=align,
            link=link,
            loaded=bool(flags & _ALLOC),
        )
        for name, kind, flags, _, start, size, link, _, align in entries
    )
    ends = (section.end for section in sections if section.kind not in (0, _NOBITS))
    last = max(*ends, shoff + shnum * shentsize, *(end for _, end in segments))
    return _Elf(
        order,
        wide,
        tuple(places),
        tuple(segments),
        max(pages),
        sections,
        shstrndx,
        (shoff, shentsize),
        last,
    )
