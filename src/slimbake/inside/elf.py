"""Takes symbols that only debuggers read out of libraries, and shows that nothing else has changed.

The loader maps the segments of a file and follows tables that lie in them: `.dynsym`, the libraries
that are needed, relocations, unwinding. `.symtab` and `.debug_*` lie in no segment: linkers,
debuggers and profilers read them, and no process does. binutils' strip also moves segments, which
breaks some libraries that auditwheel has patched; here they stay where they are, to the byte.
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
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
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
    header: bytes  # less what says where the section headers are
    masked: tuple[int, int]  # where the header says that
    segments: bytes  # the program headers
    loaded: tuple[tuple[int, int], ...]  # of the file, what a process maps
    sections: tuple[_Section, ...]
    names: int  # which section holds the sections' names
    headers: tuple[int, int]  # where the section headers are, and the bytes of each
    end: int  # of all that the headers name

    @property
    def limit(self) -> int:
        """Behind this, nothing is mapped."""
        return max(end for _, end in self.loaded)


def is_elf(path: Path) -> bool:
    """Whether a file begins as an ELF file does."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC


@dataclass(frozen=True)
class Linked:
    """What a file asks the loader for."""

    needed: tuple[str, ...] = ()
    """Names of shared libraries."""
    paths: tuple[str, ...] = ()
    """Folders of its own (RPATH, RUNPATH) that are looked through for them."""


def linked(path: Path) -> Linked:
    """What a file asks the loader for; nothing where it is no ELF."""
    try:
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                return Linked()
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                rows = [*_dynamic(data)]
    except (OSError, struct.error, IndexError, ValueError, OverflowError):
        return Linked()
    return Linked(
        tuple(name for tag, name in rows if tag == _DT_NEEDED),
        tuple(name for tag, name in rows if tag != _DT_NEEDED),
    )


def _dynamic(data: mmap.mmap) -> Iterator[tuple[int, str]]:
    """The entries of the dynamic section that name libraries or their folders."""
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    (phoff,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    segments = []  # kind, place in the file, address, bytes in the file
    for at in range(phoff, phoff + size * count, size):
        entry = struct.unpack_from(f"{order}{'IIQQQQ' if wide else 'IIIII'}", data, at)
        kind, start, address, length = (
            entry[each] for each in ((0, 2, 3, 5) if wide else (0, 1, 2, 4))
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
                if tag in (_DT_NEEDED, _DT_RPATH, _DT_RUNPATH):
                    end = data.find(b"\0", names + value)
                    yield tag, data[names + value : end].decode("utf-8", "replace")
            return


def strip_elf(source: Path, target: Path, kind: str) -> bool:
    """Write a library without the symbols that only debuggers read; whether it had any, and is the
    same to everything else.

    `kind`: `debug` for what compilers add for debuggers, `unneeded` for all symbols besides those
    that the loader reads. Between segments they become zeros, which compress to nothing.
    """
    data = source.read_bytes()
    try:
        elf = _read(data)
        # Behind all sections lies what a program reads from its own end.
        if elf is None or data[elf.end :].strip(b"\0"):
            return False
        goes = frozenset(_going(elf, kind))
        made = _without(data, elf, goes)
    except (struct.error, IndexError, ValueError, OverflowError):  # not what a linker writes
        return False
    if not goes or len(made) > len(data) or not same_when_loaded(data, made):
        return False
    target.write_bytes(made)
    return True


def _going(elf: _Elf, kind: str) -> Iterator[int]:
    tables = (_SYMTAB, _SYMTAB_SHNDX) if kind == "unneeded" else ()
    symbols = {number for number, each in enumerate(elf.sections) if each.kind in tables}
    symbols |= {elf.sections[number].link for number in symbols} - {elf.names}
    for number, each in enumerate(elf.sections):
        apart = not each.loaded and each.end > each.start and each.kind != _NOBITS
        apart = apart and not any(low < each.end and each.start < high for low, high in elf.loaded)
        if apart and (number in symbols or _DEBUG.fullmatch(each.name)):
            yield number


def _without(data: bytes, elf: _Elf, goes: frozenset[int]) -> bytes:
    """The file up to its last segment, with zeros for what goes there, then what stays of the rest,
    then the section headers, unless they lie between segments too.

    The header of what goes becomes empty, so that no other section has another number.
    """
    at, size = elf.headers
    headers = bytearray(data[at : at + size * len(elf.sections)])
    made = bytearray(data[: elf.limit])
    offset = 0x18 if elf.wide else 0x10  # of a section's place in its header
    word = f"{elf.order}{'Q' if elf.wide else 'I'}"
    for number, each in enumerate(elf.sections):
        if number in goes:
            headers[number * size : (number + 1) * size] = bytes(size)
            end = min(each.end, elf.limit)
            made[each.start : end] = bytes(max(0, end - each.start))
        elif each.start >= elf.limit and each.end > each.start and each.kind != _NOBITS:
            made += bytes(-len(made) % max(1, each.align))
            struct.pack_into(word, headers, number * size + offset, len(made))
            made += data[each.start : each.end]
    if at < elf.limit:
        made[at : at + len(headers)] = headers
    else:
        made += bytes(-len(made) % 8)
        struct.pack_into(word, made, elf.masked[0], len(made))
        made += headers
    return bytes(made)


def same_when_loaded(before: bytes, after: bytes) -> bool:
    """Whether two ELF files differ in nothing but symbols that no loader reads."""
    try:
        was, now = _read(before), _read(after)
    except (struct.error, IndexError, ValueError, OverflowError):  # not what a linker writes
        return False
    if was is None or now is None or was.header != now.header or was.segments != now.segments:
        return False
    kept = {
        (each.name, before[each.start : each.end])
        for each in was.sections
        if not each.loaded
        and each.kind not in (_SYMTAB, _SYMTAB_SHNDX, _STRTAB, _NOBITS, 0)
        and not _DEBUG.fullmatch(each.name)
    }
    left = {(each.name, after[each.start : each.end]) for each in now.sections if not each.loaded}
    low, high = was.masked
    blank = bytes(high - low)
    return kept <= left and all(
        _part(before, start, end, low, high, blank) == _part(after, start, end, low, high, blank)
        for start, end in was.loaded
    )


def _part(data: bytes, start: int, end: int, low: int, high: int, blank: bytes) -> bytes:
    """A part of a file, less what says where the section headers are."""
    part = data[start:end]
    if start <= low and high <= end:
        return part[: low - start] + blank + part[high - start :]
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
    masked = (0x28, 0x30) if wide else (0x20, 0x24)
    header = bytearray(data[: struct.calcsize(head)])
    header[masked[0] : masked[1]] = bytes(masked[1] - masked[0])
    end = phoff + phnum * phentsize
    loaded = [(0, max(end, len(header)))]
    for at in range(phoff, end, phentsize):
        entry = struct.unpack_from(f"{order}{'IIQQQQ' if wide else 'IIIII'}", data, at)
        start, size = (entry[2], entry[5]) if wide else (entry[1], entry[4])
        loaded += [(start, start + size)] if size else []
    places = range(shoff, shoff + shnum * shentsize, shentsize)
    layout = f"{order}{'IIQQQQIIQ' if wide else 'IIIIIIIII'}"
    entries = [struct.unpack_from(layout, data, at) for at in places]
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
    ends = (each.end for each in sections if each.kind not in (0, _NOBITS))
    last = max(*ends, shoff + shnum * shentsize, *(end for _, end in loaded))
    return _Elf(
        order,
        wide,
        bytes(header),
        masked,
        data[phoff:end],
        tuple(loaded),
        sections,
        shstrndx,
        (shoff, shentsize),
        last,
    )
