"""The newest buildx that Debian packages, beside the one that is installed: fetched once, never
installed.
"""

import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import platformdirs
from tests.ran import ran
from tools.bare.apt import sources as apt_sources

SUITES = ("forky", "sid")
BINARY = Path("usr/libexec/docker/cli-plugins/docker-buildx")
FETCH_LIMIT = 180  # seconds for each of apt's two steps


class Unavailable(Exception):
    """There is none to be had here; the text says why."""


def newest_buildx() -> Path:
    """The binary, from the cache of this user or else from this machine's own mirror of Debian.
    Raises Unavailable.
    """
    cache = Path(platformdirs.user_cache_dir("slimbake")) / "newest-buildx"
    if not (cache / BINARY).is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="slimbake-apt-") as scratch:
            package = _fetched(Path(scratch))
            _run(["dpkg-deb", "-x", package, cache], cache)
    return cache / BINARY


def _fetched(apt: Path) -> Path:
    """The package as a file, by an apt that has all its files in one folder: the machine's stay as
    they are.
    """
    system = platform.freedesktop_os_release()
    codename = system.get("VERSION_CODENAME", "")
    source = next((each for each in apt_sources() if codename in each.suites), None)
    if system["ID"] != "debian" or source is None:
        raise Unavailable("this machine has no mirror of Debian")
    for folder in (
        "etc/sources.list.d",
        "etc/preferences.d",
        "state/lists/partial",
        "cache/archives/partial",
    ):
        (apt / folder).mkdir(parents=True)
    (apt / "etc/sources.list.d/newer.sources").write_text(source.deb822(SUITES))
    places = {"Dir::Etc": "etc", "Dir::State": "state", "Dir::Cache": "cache"}
    options = [word for name, folder in places.items() for word in ("-o", f"{name}={apt / folder}")]
    options += ["-o", "Dir::State::status=/dev/null", "-o", "APT::Sandbox::User=root"]
    _run(["apt-get", "-qq", *options, "update"], apt)
    _run(["apt-get", "-qq", *options, "download", "docker-buildx"], apt)
    return next(apt.glob("docker-buildx_*.deb"))


def _run(words: Sequence[str | Path], folder: Path) -> None:
    try:
        done = ran(words, cwd=folder, timeout=FETCH_LIMIT)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from None
    if done.returncode:
        raise Unavailable(f"{words[0]} failed: {done.stderr.strip()}")
