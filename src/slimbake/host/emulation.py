"""Whether this machine runs programs of another platform."""

from __future__ import annotations

import re
from pathlib import Path
from platform import machine

from slimbake.errors import SetupError
from slimbake.host.wheels import MACHINES

BINFMT = Path("/proc/sys/fs/binfmt_misc")


def require_emulation(platform: str) -> None:
    """Raise SetupError where this machine's kernel does not run programs of another platform, in
    containers too.
    """
    kernel = MACHINES[platform]
    if kernel == machine() or _emulated(kernel):
        return
    raise SetupError(
        f"this machine does not run programs for {platform}",
        "as root: apt-get install qemu-user-binfmt (and mount binfmt_misc), or whichever way"
        " registers QEMU there; or build each platform on a machine of its own:"
        " PLATFORMS=linux/amd64 slimbake bake",
    )


def _emulated(kernel: str) -> bool:
    """Whether binfmt_misc has an emulator that it opened when it was registered (F): no container
    has to hold it.
    """
    found = [
        path.read_text() for path in BINFMT.glob("*") if path.name not in {"register", "status"}
    ]
    return any(
        re.search(rf"^interpreter .*{kernel}", text, re.MULTILINE)
        and text.startswith("enabled")
        and re.search(r"^flags:.*F", text, re.MULTILINE)
        for text in found
    )
