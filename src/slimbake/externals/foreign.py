"""Stand-ins for platforms that are not this machine's: what emulates them, several as one image."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from slimbake.errors import SetupError
from slimbake.externals.recipe import EPOCH
from slimbake.host import process
from slimbake.host.wheels import MACHINES
from slimbake.images import this_platform

BINFMT = Path("/proc/sys/fs/binfmt_misc")
_DOCKERFILE = "FROM standin-${TARGETARCH}\n"


def require_emulation(platform: str) -> None:
    """Raise SetupError where this machine's kernel does not run programs of another platform, in
    containers too.
    """
    if platform == this_platform() or _emulated(MACHINES[platform]):
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


def together(name: str, contexts: Mapping[str, str]) -> str:
    """One image for several platforms out of a stand-in for each; its reference. `contexts`:
    platform -> context value.

    Takes a second. Raises SetupError where the engine holds no such images: one without the
    containerd store.
    """
    with tempfile.TemporaryDirectory(prefix="slimbake-standin-") as folder:
        (Path(folder) / "Dockerfile").write_text(_DOCKERFILE)
        named = {platform.rpartition("/")[2]: value for platform, value in sorted(contexts.items())}
        reference = f"slimbake-standin/{name}-{'-'.join(named)}"
        done = process.run(
            [
                "docker",
                "buildx",
                "build",
                f"--platform={','.join(sorted(contexts))}",
                "--provenance=false",
                f"--build-arg=SOURCE_DATE_EPOCH={EPOCH}",
                f"--output=type=image,name={reference}",
                *(f"--build-context=standin-{arch}={value}" for arch, value in named.items()),
                folder,
            ]
        )
    if not done.ok:
        raise SetupError(
            f"the engine makes no stand-in for several platforms:\n{done.last_lines()}",
            "build one platform at a time: PLATFORMS=linux/amd64 slimbake bake",
        )
    return reference
