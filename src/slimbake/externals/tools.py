"""The external `tools`: binutils for passes that strip; a stand-in where no registry can be
reached.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from slimbake import docker
from slimbake.host.files import made_once, state_folder

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
    name = f"tools-{platform.replace('/', '-')}"
    return _made(name, _STANDIN + _COLLECT, {"python": python}, platform)


def unpacked(context: str, digest: str) -> Path:
    """The tools as a folder, which a container can mount. `context`: of the external; a folder is
    it already.
    """
    if not context.startswith("docker-image://"):
        return Path(context)
    name = f"tools-{hashlib.sha256(digest.encode()).hexdigest()[:16]}"
    return _made(name, "FROM tools AS collect" + _COLLECT, {"tools": context}, "")


def folder_digest(folder: Path) -> str:
    """Of all that lies in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = hashlib.sha256()
    for path in files:
        whole.update(
            f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return f"tools-{whole.hexdigest()}"


def _made(name: str, dockerfile: str, contexts: dict[str, str], platform: str) -> Path:
    def make(folder: Path) -> None:
        docker.build_files(dockerfile, contexts, {}, folder, platform)

    return made_once(state_folder() / name, make)
