"""The external `tools`: binutils for passes that strip; a stand-in where no registry can be
reached.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from slimbake import docker
from slimbake.host.files import state_folder

# A program with the libraries and the loader that it needs, from an image of Debian: it has a
# shell.
_COLLECT = r"""
RUN mkdir -p /out/usr/bin && cp -L /usr/bin/strip /out/usr/bin/ \
 && for file in $(ldd /usr/bin/strip | grep -o '/[^ )]*'); do cp -L --parents "$file" /out; done
FROM scratch
COPY --from=collect /out /
"""
_STANDIN = """FROM python AS collect
RUN apt-get update -qq --error-on=any && apt-get install -y -qq --no-install-recommends binutils >/dev/null
"""


def tools_standin(python: str, platform: str) -> Path:
    """A folder with strip from Debian's binutils and what it needs; made once for each platform, in
    some 15 s.

    `python`: the context of the external Python image for that platform. Raises SetupError.
    """
    folder = state_folder() / f"tools-{platform.replace('/', '-')}"
    if not folder.is_dir():
        _made(folder, _STANDIN + _COLLECT, {"python": python}, platform)
    return folder


def unpacked(context: str, digest: str) -> Path:
    """The tools as a folder, which a container can mount. `context`: of the external; a folder is
    it already.
    """
    if not context.startswith("docker-image://"):
        return Path(context)
    folder = state_folder() / f"tools-{hashlib.sha256(digest.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        _made(folder, "FROM tools AS collect" + _COLLECT, {"tools": context}, "")
    return folder


def digest(folder: Path) -> str:
    """Of all that lies in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = hashlib.sha256()
    for path in files:
        whole.update(
            f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return f"tools-{whole.hexdigest()}"


def _made(folder: Path, dockerfile: str, contexts: dict[str, str], platform: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tools-") as name:
        made = Path(name) / "made"
        docker.build_files(dockerfile, contexts, {}, made, platform)
        try:
            made.rename(folder)
        except OSError:  # another slimbake was faster; what it made is the same
            if not folder.is_dir():
                raise
