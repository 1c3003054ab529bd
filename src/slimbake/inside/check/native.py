"""What in a file could be stripped or made smaller: symbols of ELF, fp32 weights."""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path
from typing import IO

_HEADER_LIMIT = 100_000_000  # bytes of a header of safetensors, as its own reader has it
_ALLOCATED = 2  # SHF_ALLOC: a section that is loaded, which strip keeps
_NOTHING = 8  # SHT_NOBITS: a section without bytes in the file


def native(path: Path) -> tuple[int, int]:
    """Bytes of symbols and debug sections that nothing loads, and bytes of fp32 tensors."""
    with contextlib.suppress(
        OSError, struct.error, ValueError, LookupError, OverflowError, AttributeError
    ):
        if ".so" in path.name or path.stat().st_mode & 0o111:
            with path.open("rb") as file:
                return strippable(file), 0
        if path.suffix == ".safetensors":
            with path.open("rb") as file:
                return 0, fp32(file)
    return 0, 0


def strippable(file: IO[bytes]) -> int:
    """Bytes of `.symtab`, `.strtab` and `.debug*` by the section headers; 0 if it is not ELF."""
    head = file.read(64)
    if head[:4] != b"\x7fELF":
        return 0
    order = "<" if head[5] == 1 else ">"
    wide = head[4] == 2
    start = struct.unpack_from(order + ("Q" if wide else "I"), head, 40 if wide else 32)[0]
    width, count, names = struct.unpack_from(f"{order}3H", head, 58 if wide else 46)
    file.seek(start)
    table = file.read(width * count)
    header = order + ("2I4Q" if wide else "6I")  # name, type, flags, address, offset, size
    sections = [struct.unpack_from(header, table, width * each) for each in range(count)]
    if not sections:
        return 0
    file.seek(sections[names][4])
    text = file.read(sections[names][5])
    found = 0
    for name, kind, flags, _, _, size in sections:
        section = text[name : text.index(b"\0", name)]
        unloaded = kind != _NOTHING and not flags & _ALLOCATED
        if unloaded and section.startswith((b".symtab", b".strtab", b".debug")):
            found += size
    return found


def fp32(file: IO[bytes]) -> int:
    """Bytes of the fp32 tensors of a safetensors file, by its header."""
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _HEADER_LIMIT:
        return 0
    tensors = json.loads(file.read(length))
    spans = [each["data_offsets"] for each in tensors.values() if each.get("dtype") == "F32"]
    return sum(end - begin for begin, end in spans)
