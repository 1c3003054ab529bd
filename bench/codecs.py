"""Codecs for the cold store of an image: bytes, core-seconds to pack, and what one cold module costs.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import lzma
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import tables
from backports import zstd

from slimbake.inside.cold.layout import BLOCK, Store

Codec = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes], int]
CODECS: dict[str, Codec] = {
    "zlib, 256 kB": (zlib.compress, zlib.decompress, BLOCK),
    "zstd 9, 256 kB": (lambda b: zstd.compress(b, 9), zstd.decompress, BLOCK),
    "zstd 9, 1.5 MB": (lambda b: zstd.compress(b, 9), zstd.decompress, 1_500_000),
    "LZMA 1, 1.5 MB": (lambda b: lzma.compress(b, preset=1), lzma.decompress, 1_500_000),
}


def main() -> None:
    """Read the stores of an image, pack what they hold with each codec, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("image", help="an image that slimbake built")
    stores = stored(parser.parse_args().image)
    rows = [(name, *measured(stores, *codec)) for name, codec in CODECS.items()]
    headings = ("codec, blocks", "MB", "pack, core-s", "unpack, core-s", "a block, ms")
    print(tables.markdown(f"{len(stores):,} cold modules", headings, rows))


def stored(image: str) -> dict[str, bytes]:
    """What the cold stores of an image hold."""
    with tempfile.TemporaryDirectory() as folder:
        container = docker("create", image)
        docker("cp", f"{container}:/opt/slimbake/cold", folder)
        docker("rm", container)
        files = sorted(Path(folder).rglob("*.cold"))
        return {path: content for file in files for path, content in Store(str(file)).contents()}


def docker(*words: str) -> str:
    """What Docker prints."""
    done = subprocess.run(["docker", *words], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def measured(
    content: dict[str, bytes],
    pack: Callable[[bytes], bytes],
    unpack: Callable[[bytes], bytes],
    size: int,
) -> Iterator[str]:
    """MB packed, core-seconds to pack and to unpack all, milliseconds of a median block."""
    blocks = list(blocks_of(content, size))
    before = time.process_time()
    packed = [pack(block) for block in blocks]
    between = time.process_time()
    for block in packed:
        unpack(block)
    after = time.process_time()
    yield tables.megabytes(sum(map(len, packed)))
    yield f"{between - before:.1f}"
    yield f"{after - between:.2f}"
    yield f"{median(timed(unpack, block) for block in packed) * 1000:.2f}"


def blocks_of(content: dict[str, bytes], size: int) -> Iterator[bytes]:
    """All files, in blocks as the store makes them."""
    block = b""
    for path in sorted(content):
        if block and len(block) + len(content[path]) > size:
            yield block
            block = b""
        block += content[path]
    yield block


def timed(unpack: Callable[[bytes], bytes], block: bytes) -> float:
    """Core-seconds of one call."""
    before = time.process_time()
    unpack(block)
    return time.process_time() - before


if __name__ == "__main__":
    main()
