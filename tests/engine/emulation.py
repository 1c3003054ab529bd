"""Programs for arm64 on this machine: QEMU, registered with the kernel for as long as the tests
need it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.bare import apt, images

from slimbake.docker.engine import engine_platform

ARM64 = "linux/arm64"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
PROGRAM = Path("/usr/bin/qemu-aarch64-static")
# ELF, 64 bits, little-endian, executable or shared object, AArch64 (binfmt.d(5) of Debian's
# qemu-user-binfmt).
MAGIC = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\0\xb7\0"
MASK = b"\xff" * 7 + b"\0" + b"\xff" * 8 + b"\xfe\xff\xff\xff"


class NoEmulationError(Exception):
    """Why programs for arm64 cannot run here."""


@contextmanager
def emulated() -> Iterator[None]:
    """Run programs for arm64 here, also in containers; a handler that this registers is gone
    afterwards.

    Raises NoEmulationError with the reason.
    """
    if engine_platform() != "linux/amd64":
        raise NoEmulationError(f"the test emulates arm64 on amd64, and this is {engine_platform()}")
    if not shutil.which("arch-test") or not PROGRAM.exists():
        _install("qemu-user-static", "arch-test")
    if _runs():
        yield
        return
    with _mounted(), _registered():
        if not _runs():
            raise NoEmulationError("the kernel does not run programs for arm64 in containers")
        yield


def _runs() -> bool:
    """Whether the kernel has an emulator that it opened when it was registered (F): no container has
    to hold it.
    """
    handlers = (path for path in BINFMT.glob("*") if path.name not in {"register", "status"})
    texts = [path.read_text() for path in handlers]
    return any(
        text.startswith("enabled") and "aarch64" in text and re.search(r"^flags:.*F", text, re.M)
        for text in texts
    )


def _install(*packages: str) -> None:
    if os.geteuid() or not shutil.which("apt-get"):
        raise NoEmulationError(
            f"{' and '.join(packages)} are not installed, and this is not root on Debian"
        )
    try:
        apt.install(*packages)  # waits for another one, as of the other worker
    except SystemExit as error:
        raise NoEmulationError(str(error)) from None


@contextmanager
def _mounted() -> Iterator[None]:
    if (BINFMT / "register").exists():
        yield
        return
    words = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoEmulationError(f"binfmt_misc cannot be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(BINFMT)], check=True)


@contextmanager
def _registered() -> Iterator[None]:
    def escaped(pattern: bytes) -> bytes:
        return b"".join(b"\\x%02x" % byte for byte in pattern)

    name = f"slimbake-test-{os.getpid()}"
    fields = [
        b"",
        name.encode(),
        b"M",
        b"",
        escaped(MAGIC),
        escaped(MASK),
        str(PROGRAM).encode(),
        b"OCF",
    ]
    try:
        (BINFMT / "register").write_bytes(b":".join(fields))
    except OSError as error:
        raise NoEmulationError(f"the kernel registers no emulator: {error}") from None
    try:
        yield
    finally:
        (BINFMT / name).write_text("-1")


def both_externals(uv: str) -> str:
    """The `externals` of a manifest for both platforms: images of Python and `uv` for each."""
    own = {"python": images.python_image("3.11"), "uv": images.uv_image(uv)}
    other = {
        "python": images.python_image("3.11", "slimbake-bare/python:3.11-arm64", "arm64"),
        "uv": images.uv_image("slimbake-bare/uv:arm64", "arm64"),
    }
    named = {
        name: images.several(f"slimbake-bare/{name}:both", {"amd64": image, "arm64": other[name]})
        for name, image in own.items()
    }
    lines = "".join(f'  {name}: {{image: "{image}"}}\n' for name, image in named.items())
    return f"externals:\n{lines}"
