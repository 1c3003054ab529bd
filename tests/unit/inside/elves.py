"""Small ELF files, laid out as a linker does."""

import struct

from slimbake.inside.elf import read_header, read_segments

SEGMENT = b"code of the library"


def elf(*, debug: bytes = b"", symbols: bytes = b"", own: bytes = b"", moved: bytes = b"") -> bytes:
    """A 64-bit library: one segment, then sections that are in none. `own`: the content of a
    section that a program reads itself; `moved`: a second segment behind the sections, as patchelf
    leaves it.
    """
    parts = [(b".text", 1, 2, SEGMENT), (b".comment", 1, 0, b"GCC\0")]
    parts += [(b".debug_info", 1, 0, debug)] if debug else []
    parts += [(b".own", 1, 0, own)] if own else []
    if symbols:
        parts += [(b".symtab", 2, 0, symbols), (b".strtab", 3, 0, b"\0name\0")]
    names = b"\0" + b"".join(name + b"\0" for name, *_ in parts) + b".shstrtab\0"
    parts += [(b".shstrtab", 3, 0, names)]
    segments = 2 if moved else 1
    headers, content, at = [bytes(64)], b"", 64 + 56 * segments
    for number, (name, kind, flags, data) in enumerate(parts, 1):
        link = number + 1 if kind == 2 else 0
        where = names.index(name + b"\0")
        headers.append(
            struct.pack("<IIQQQQIIQQ", where, kind, flags, 0, at, len(data), link, 0, 1, 0)
        )
        content, at = content + data, at + len(data)
    end = 64 + 56 * segments + len(SEGMENT)
    program = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, end, end, 4096)
    if moved:
        program += struct.pack("<IIQQQQQQ", 1, 6, at, at, at, len(moved), len(moved), 4096)
        content, at = content + moved, at + len(moved)
    library = (3, 62, 1, 0)  # shared, x86-64, version 1, no entry
    tables = (64, at, 0, 64, 56, segments, 64, len(headers), len(headers) - 1)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", *library, *tables)
    return header + program + content + b"".join(headers)


def mapped(content: bytes) -> list[tuple[int, bytes]]:
    """What a process maps of a library: the address of each segment and its bytes, with zeros for
    what says where in the file something is. Each lies as far into a page as its address does.
    """
    header = read_header(content)
    segments = read_segments(content, header)
    zeroed = bytearray(content)
    for place in (*header.places, *(segment.header + 8 for segment in segments)):
        zeroed[place : place + 8] = bytes(8)
    for segment in segments:
        assert (segment.address - segment.start) % segment.align == 0
    return [(part.address, bytes(zeroed[part.start : part.end])) for part in segments]
