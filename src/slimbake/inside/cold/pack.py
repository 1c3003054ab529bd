"""Moves what no start reads into a layer's cold store: modules that no start imports, and the sources
of modules of which it needs the bytecode alone.
"""

from __future__ import annotations

import pkgutil
import zlib
from collections.abc import Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..rules import LayerFiles
from . import hook, layout, resources
from .select import Selected

PACKAGE = "_slimbake_cold"
# What installs the hook at a start of Python, the first of their kind by name: other packages may
# import what is cold. Python 3.15 runs the lines of `.pth` files, and only then what `.start` files
# name (PEP 829); Python 3.18 ignores the lines. Of two files of one stem the first would be ignored.
STARTS = {
    f"0{PACKAGE}.pth": f"import {PACKAGE}.hook; {PACKAGE}.hook.install()\n",
    f"0{PACKAGE}_hook.start": f"{PACKAGE}.hook:install\n",
}
SHIPPED = (hook, layout, resources)


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
    if (site / PACKAGE).exists():  # a layer below has it
        return
    (site / PACKAGE).mkdir()
    (site / PACKAGE / "__init__.py").write_text("")
    for module in SHIPPED:
        name = f"{module.__name__.rpartition('.')[2]}.py"
        (site / PACKAGE / name).write_bytes(pkgutil.get_data(__package__, name) or b"")
    yield from (site / PACKAGE).iterdir()
    for name, text in STARTS.items():
        (site / name).write_text(text)


def store_bytes(
    sources: Mapping[str, bytes], dists: Mapping[str, str], compiled: Container[str] = ()
) -> bytes:
    """A cold store: the same bytes for the same files, path below site-packages -> content.

    `dists`: the `*.dist-info` folder of each path; `compiled`: those whose bytecode is on disk.
    """
    blocks = list(_blocks(sources))
    with ThreadPoolExecutor() as pool:
        packed = list(pool.map(zlib.compress, (b"".join(block.values()) for block in blocks)))
    names = sorted(set(dists.values()))
    # The places of blocks depend on the size of the index, which has them: they are counted from it.
    rows: dict[str, list[str]] = {}
    start = 0
    for block, content in zip(blocks, packed, strict=True):
        offset = 0
        for path, source in block.items():
            numbers = (names.index(dists[path]), start, len(content), len(source))
            row = (*numbers, int(path in compiled), offset, zlib.crc32(source))
            folder, _, name = path.removesuffix(".py").rpartition("/")
            rows.setdefault(folder, []).append("\t".join((name, *map(str, row))))
            if name == "__init__":
                above, _, package = folder.rpartition("/")
                rows.setdefault(above, []).append("\t".join((f"{package}/{name}", *map(str, row))))
            offset += len(source)
        start += len(content)
    return b"".join([*_index(names, rows), *packed])


def _blocks(sources: Mapping[str, bytes]) -> Iterator[Mapping[str, bytes]]:
    """What one import decompresses."""
    block: dict[str, bytes] = {}
    size = 0
    for path in sorted(sources):
        if block and size + len(sources[path]) > layout.BLOCK:
            yield block
            block, size = {}, 0
        block[path] = sources[path]
        size += len(sources[path])
    if block:
        yield block


def _index(dists: list[str], rows: Mapping[str, list[str]]) -> Iterator[bytes]:
    lines, texts, start = [], [], 0
    for folder in sorted(rows):
        text = "\n".join(sorted(rows[folder])).encode()
        lines.append(f"{folder}\t{start} {len(text)} {zlib.crc32(text)}")
        texts.append(text)
        start += len(text)
    table = "\n".join([*dists, "", *lines]).encode()
    head = f"{layout.MAGIC} {layout.VERSION} {len(table)} {start} {zlib.crc32(table)}"
    yield head.ljust(layout.HEAD - 1).encode() + b"\n"
    yield from (table, *texts)
