"""Moves what no start reads into a layer's cold store: modules that no start imports, extension modules
too, and the sources of modules of which it needs the bytecode alone.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import lzma
import os
import pkgutil
import secrets
import sys
import time
import zlib
from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from ..build.settle import TESTS
from ..rules import LayerFiles
from ..step import INSIDE, hashed
from . import files, hook, layout, serve
from .select import Selected

BLOCK = 3_000_000  # bytes of source: a first import reads half of one on average, in 8 ms
OWN_BLOCK = 100_000  # a small package is not read with all that stands beside it: costs nothing
READ_BLOCK = 8_000_000  # of sources that no import reads, and of tests
BLOCKS = INSIDE / "blocks"  # compressed by earlier builds, each named by what it was made of
CHECK = lzma.CHECK_NONE  # the index has one for each file
UNUSED = 30 * 24 * 3600  # seconds after which a block goes
PACKAGE = "_slimbake_cold"
PTH = f"0{PACKAGE}.pth"  # the first by name: other .pth files may import what is cold
SHIPPED = {"__init__.py": hook, "files.py": files, "layout.py": layout, "serve.py": serve}
Sources = Sequence[tuple[str, bytes]]  # path below site-packages, content
Filters = Sequence[Mapping[str, int]]
_LZMA = {"id": lzma.FILTER_LZMA2, "preset": 6}
# No literal of text depends on its position in a word. Matches of 64 bytes are taken as they come: a
# sixth less time than with the best of them (273), for 0.4 % of bytes (torch and transformers).
# Addresses in code for x86 become absolute.
_TEXT: Filters = ({**_LZMA, "lc": 4, "lp": 0, "pb": 0, "nice_len": 64},)
_CODE: Filters = (*([{"id": lzma.FILTER_X86}] if os.uname().machine == "x86_64" else []), _LZMA)
# Modules, extension modules, sources: the most of a block, from where on another distribution gets a
# block of its own, filters.
KINDS = ((BLOCK, OWN_BLOCK, _TEXT), (BLOCK, BLOCK, _CODE), (READ_BLOCK, READ_BLOCK, _TEXT))


def go_cold(layer: LayerFiles, selected: Selected, settings: Mapping[str, Any]) -> list[Path]:
    """Move what was selected, and return the modules of the hook, to be compiled.

    The moved files are no longer among the layer's.
    """
    names = [*selected.modules, *selected.sources]
    if not names:
        return []
    infos = {
        layer.owner(name): name.partition("/")[0]
        for name in layer.files
        if name.endswith(".dist-info/RECORD")
    }
    content = {name: layer.files[name].read_bytes() for name in names}
    dists = {name: infos[layer.owner(name)] for name in names}
    store = layer.prefix / "cold" / f"{settings['layer']}{layout.SUFFIX}"
    store.parent.mkdir(exist_ok=True)
    store.write_bytes(store_bytes(content, dists, {*selected.sources}))
    for name in names:
        layer.files.pop(name).unlink()
    return list(_install_hook(layer.site))


def _install_hook(site: Path) -> Iterator[Path]:
    if not (site / PTH).exists():  # a layer below may have it
        (site / PACKAGE).mkdir()
        for name, module in SHIPPED.items():
            content = pkgutil.get_data(__package__, f"{module.__name__.rpartition('.')[2]}.py")
            (site / PACKAGE / name).write_bytes(content or b"")
            yield site / PACKAGE / name
        (site / PTH).write_text(f"import {PACKAGE}; {PACKAGE}.install()\n")


def store_bytes(
    sources: Mapping[str, bytes], dists: Mapping[str, str], compiled: Container[str] = ()
) -> bytes:
    """A cold store: the same bytes for the same files, path below site-packages -> content.

    `dists`: the `*.dist-info` folder of each path; `compiled`: those whose bytecode is on disk.
    """

    def kind(path: str) -> int:
        """What is seldom read, for a traceback or as a test, makes no block longer that an import
        reads.
        """
        if path.endswith(layout.EXTENSION):
            return 1
        return 2 if path in compiled or not TESTS.isdisjoint(path.split("/")) else 0

    blocks: list[Sources] = []
    filters: list[Filters] = []
    for number, (most, own, chosen) in enumerate(KINDS):
        ordered = sorted(each for each in sources.items() if kind(each[0]) == number)
        made = [*_blocks(ordered, most, own, dists)]
        blocks += made
        filters += [chosen] * len(made)
    joined = [b"".join(content for _, content in each) for each in blocks]
    with ProcessPoolExecutor() as pool:
        packed = list(pool.map(_packed, joined, filters))
    _forget_unused()
    known = sorted(set(dists.values()))
    rows: dict[str, list[tuple[str, str]]] = {}
    for number, block in enumerate(blocks):
        offset = 0
        for path, content in block:
            folder, _, name = path.removesuffix(".py").rpartition("/")
            where = (known.index(dists[path]), number, offset, len(content))
            place = (*where, int(path in compiled), zlib.crc32(content))
            rows.setdefault(folder, []).append((name, "\t".join((name, *map(str, place)))))
            if name == "__init__":
                above, _, package = folder.rpartition("/")
                rows.setdefault(above, []).append((f"{package}/", f"{package}/"))
            offset += len(content)
    index = {folder: sorted(rows[folder]) for folder in sorted(rows)}
    table = "\n".join([*known, "", *(str(len(each)) for each in packed)]).encode()
    return b"".join([*_index(index, table, sum(map(len, packed))), *packed])


def _index(
    index: Mapping[str, list[tuple[str, str]]], table: bytes, blocks: int
) -> Iterator[bytes]:
    folders, rows, start = [], [], 0
    for folder, each in index.items():
        text = "\n".join(row for _, row in each).encode()
        folders += [folder, f"{start} {len(text)} {zlib.crc32(text)}"]
        rows.append(text)
        start += len(text)
    listed = "\n".join(folders).encode()
    sizes = [len(listed), start, len(table)]
    numbers = [layout.HEAD + sum(sizes) + blocks, *sizes, zlib.crc32(listed), zlib.crc32(table)]
    head = " ".join([layout.MAGIC, layout.VERSION, *map(str, numbers)])
    yield head.ljust(layout.HEAD - 1).encode() + b"\n"
    yield from (listed, *rows, table)


def _blocks(sources: Sources, most: int, own: int, dists: Mapping[str, str]) -> Iterator[Sources]:
    """What one read decompresses."""
    block: list[tuple[str, bytes]] = []
    size = 0
    for path, content in sources:
        other = size >= own and dists[path] != dists[block[-1][0]]
        if block and (other or size + len(content) > most):
            yield block
            block, size = [], 0
        block.append((path, content))
        size += len(content)
    if block:
        yield block


def _packed(content: bytes, filters: Filters) -> bytes:
    """A block as one xz stream; from the cache of builds where it has that: compressing is two thirds
    of what a layer of torch takes. What another build left is taken if it holds these bytes.
    """
    *before, last = filters
    chosen = [*before, {**last, "dict_size": max(4096, len(content))}]
    made_of = f"{_library()}\0{lzma.FORMAT_XZ} {CHECK} {chosen}\0".encode()
    file = BLOCKS / hashlib.sha256(made_of + content).hexdigest()
    with contextlib.suppress(OSError, EOFError, lzma.LZMAError):
        found = file.read_bytes()
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)  # as a store is read
        if stream.decompress(found) == content and stream.eof and not stream.unused_data:
            os.utime(file)
            return found
    made = lzma.compress(content, lzma.FORMAT_XZ, CHECK, filters=chosen)  # one stream, one thread
    part = BLOCKS / f"{secrets.token_hex(8)}.part"
    with contextlib.suppress(OSError):  # no cache, or it is full
        try:
            part.write_bytes(made)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    return made


@functools.lru_cache(1)
def _library() -> str:
    """Changes with the liblzma of this Python: another one may compress to other bytes."""
    maps = Path("/proc/self/maps").read_text("utf-8").splitlines()
    files = {line.split(maxsplit=5)[-1] for line in maps if "lzma" in line}
    return " ".join(hashed(Path(each)) for each in sorted(files) or [sys.executable])


def _forget_unused() -> None:
    with contextlib.suppress(OSError):
        for file in BLOCKS.iterdir():
            if file.stat().st_mtime < time.time() - UNUSED:
                file.unlink(missing_ok=True)
