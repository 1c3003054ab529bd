"""The runtime's /sbin/ldconfig, a text of its own: `ldconfig -p` prints what the loader's cache has.

`ctypes.util.find_library`, triton and others ask this program where libraries are. glibc's own is
a megabyte that no image needs otherwise. Libraries that the cache lists and the image lacks are
left out: the cache is made where more packages are installed.
"""

import os
import struct
import sys

CACHE = "/etc/ld.so.cache"
MAGIC = b"glibc-ld.so.cache1.1"
HEADER, ENTRY = 48, "<iIIIQ"
KINDS = {0x003: "libc6", 0x303: "libc6,x86-64", 0xA03: "libc6,AArch64"}


def listed(cache: bytes) -> "list[tuple[str, str, str]]":
    """Name, kind and path of each library of a cache, in its order."""
    if not cache.startswith(MAGIC):
        return []
    (count,) = struct.unpack_from("<I", cache, len(MAGIC))

    def text(at: int) -> str:
        return os.fsdecode(cache[at : cache.index(b"\0", at)])

    places = range(HEADER, HEADER + count * struct.calcsize(ENTRY), struct.calcsize(ENTRY))
    entries = (struct.unpack_from(ENTRY, cache, place) for place in places)
    return [
        (text(key), KINDS.get(flags, "libc6"), text(value)) for flags, key, value, *_ in entries
    ]


def main(arguments: "list[str]") -> int:
    """Print as glibc's ldconfig does."""
    if arguments not in (["-p"], ["--print-cache"]):
        print("ldconfig: this image has only `ldconfig -p`", file=sys.stderr)
        return 1
    try:
        with open(CACHE, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than all this
            libraries = listed(file.read())
    except OSError:
        libraries = []
    there = [library for library in libraries if os.access(library[2], os.F_OK)]
    print(f"{len(there)} libs found in cache `{CACHE}'")
    for name, kind, path in there:
        print(f"\t{name} ({kind}) => {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
