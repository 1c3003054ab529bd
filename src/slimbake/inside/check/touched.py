"""Reports which files of an image its workload opens, and how many bytes of pages it touches.

Runs as root in a container of the image. It evicts clean pages of the image's files from the page
cache, runs the workload, and asks mincore which pages are resident then; docs/limits.md says what
that is worth.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .native import native
from .surroundings import as_service, image_folders

LAST_LINES = 12
EVERY = 0.1  # seconds between two looks at what the workload has mapped
PAGE = os.sysconf("SC_PAGE_SIZE")
_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ (\S+) [0-9a-f]+ \S+ ([0-9]+) +(/.*)")
_IN_ACCESS, _IN_OPEN, _IN_OVERFLOW, _IN_ISDIR = 0x1, 0x20, 0x4000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def run_observation(_: Sequence[str]) -> None:
    """The program `observe`: an object on standard input; the last line of output is the answer.

    The object has `workloads`, which are run one after the other, each with `words`, `stdin` and
    whether it runs as `nonroot`; and `limit`, in seconds for each.
    """
    asked = json.load(sys.stdin)
    files = {path: size for folder in image_folders("/") for path, size in regular_files(folder)}
    kinds = {path: native(Path(path)) for path in files}
    for path in files:
        evict(path)
    held = {path: resident(path, size) for path, size in files.items()}
    with Opened(image_folders("/")) as opened:
        code, words, mapped = run_workloads(asked["workloads"], asked["limit"])
    if opened.lost:
        code, words = code or 1, f"{words}\n{opened.lost}".strip()
    found: list[list[Any]] = []
    sums = {"resident": 0, "disturbed": 0}
    for path, size in files.items():
        after = resident(path, size)
        new = max(after - held[path], 0)
        touched = 0
        if path not in opened.paths:
            sums["disturbed"] += new  # another process has read it meanwhile
        else:
            pages = mapped.get(path)
            in_tables = pages is not None and (pages.executable or path not in opened.read)
            touched = pages.bytes if pages is not None and in_tables else new
            sums["resident"] += after
            sums["disturbed"] += 0 if in_tables else held[path]
        if path in opened.paths or any(kinds[path]):
            found.append([path.lstrip("/"), size, path in opened.paths, touched, *kinds[path]])
    print(json.dumps({"code": code, "words": words, "files": found, **sums}))


def regular_files(folder: str) -> Iterator[tuple[str, int]]:
    """The non-empty files of a folder, with their bytes; a file that is mounted is not one."""
    device = Path("/").stat().st_dev
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                found = entry.stat(follow_symlinks=False)
                if found.st_size and found.st_dev == device:
                    yield entry.path, found.st_size


def evict(path: str) -> None:
    """Have the kernel drop a file's clean pages; pages that a process has mapped stay."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def resident(path: str, size: int) -> int:
    """Bytes of a file's pages that are in the page cache."""
    handle = os.open(path, os.O_RDONLY)
    try:
        # PROT_READ, MAP_SHARED; this reads no page
        address = _libc.mmap(None, size, 1, 1, handle, 0)
    finally:
        os.close(handle)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap", path)
    try:
        pages = ctypes.create_string_buffer((size + PAGE - 1) // PAGE)
        if _libc.mincore(address, size, pages):
            raise OSError(ctypes.get_errno(), "mincore", path)
        return sum(1 for each in pages.raw if each & 1) * PAGE if any(pages.raw) else 0
    finally:
        _libc.munmap(address, size)


class Opened:
    """The files of some folders that are opened in the block, and those read with read().

    By inotify: each container has an overlay of its own, so other containers do not count, and
    nothing has to be loaded into the workload.
    """

    def __init__(self, watched: Iterator[str]) -> None:
        self.paths: set[str] = set()
        self.read: set[str] = set()
        self.lost = ""
        self._handle = _libc.inotify_init1(os.O_NONBLOCK)
        self._folders: dict[int, str] = {}
        for folder in watched:
            number = _libc.inotify_add_watch(
                self._handle, os.fsencode(folder), _IN_OPEN | _IN_ACCESS
            )
            if number < 0:
                self.lost = f"inotify cannot watch {folder}: {os.strerror(ctypes.get_errno())}"
            self._folders[number] = folder
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Opened:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._handle)

    def _follow(self) -> None:
        while True:
            last = self._ended.is_set()
            try:
                self._take(os.read(self._handle, 1 << 20))
            except BlockingIOError:
                if last:
                    return
                time.sleep(0.005)

    def _take(self, events: bytes) -> None:
        place = 0
        while place < len(events):
            number, mask, _, length = struct.unpack_from("iIII", events, place)
            name = os.fsdecode(events[place + 16 : place + 16 + length].rstrip(b"\0"))
            place += 16 + length
            if mask & _IN_OVERFLOW:
                self.lost = "inotify lost events"
            elif name and not mask & _IN_ISDIR:
                path = f"{self._folders[number].rstrip('/')}/{name}"
                (self.paths if mask & _IN_OPEN else self.read).add(path)


class Mapped:
    """Bytes of a file's pages in a process's page tables, and whether some were executable."""

    def __init__(self) -> None:
        self.bytes, self.executable = 0, False


def run_workloads(
    workloads: list[dict[str, Any]], limit: float
) -> tuple[int, str, dict[str, Mapped]]:
    """Run workloads until one fails: its exit code, its last words, and what all had mapped."""
    mapped: dict[str, Mapped] = {}
    code, words = 0, ""
    for each in workloads:
        user = as_service() if each["nonroot"] else {}
        with (
            tempfile.TemporaryFile("w+", errors="replace") as said,
            tempfile.TemporaryFile("w+") as given,
        ):
            given.write(each["stdin"])
            given.seek(0)
            process = subprocess.Popen(
                each["words"], stdin=given, stdout=said, stderr=subprocess.STDOUT, **user
            )
            _watch(process, limit, mapped)
            said.seek(0)
            code, words = process.returncode, "\n".join(said.read().splitlines()[-LAST_LINES:])
        if code:
            break
    return code, words, mapped


def _watch(process: subprocess.Popen[bytes], limit: float, mapped: dict[str, Mapped]) -> None:
    ends = time.monotonic() + limit
    while process.poll() is None:
        for path in Path("/proc").glob("[0-9]*"):
            if int(path.name) != os.getpid():
                with contextlib.suppress(OSError):
                    take_mappings((path / "smaps").read_text(errors="replace"), mapped)
        if time.monotonic() > ends:
            process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(EVERY)


def take_mappings(smaps: str, mapped: dict[str, Mapped]) -> None:
    """Take what one process has mapped now; the largest of several looks at a file counts."""
    sums: dict[str, int] = {}
    path = ""
    for line in smaps.splitlines():
        if match := _MAPPING.fullmatch(line):
            path = match[3]
            mapped.setdefault(path, Mapped()).executable |= "x" in match[1]
        elif line.startswith("Rss:") and path:
            sums[path] = sums.get(path, 0) + int(line.split()[1]) * 1024
        elif line.startswith("VmFlags:"):
            path = ""
    for each, size in sums.items():
        mapped[each].bytes = max(mapped[each].bytes, size)
