"""apt on this machine: its sources and settings, and installing packages unattended."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host import process

_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "LC_ALL": "C.UTF-8"}
_NO = {"no", "false", "0", "without", "off", "disable"}
_YES = {"yes", "true", "1", "with", "on", "enable"}
_LINE = re.compile(
    r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uris>\S+)\s+(?P<suites>\S+)(?P<components>.*)$"
)
_FILE = re.compile(r"[A-Za-z0-9_.-]+\.(list|sources)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AptSource:
    """One source of binary packages."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    # Path of the keyring, or the key itself; empty: the keys that apt trusts anyway.
    signed_by: str = ""
    trusted: bool = False

    def deb822(self) -> str:
        """This source as a paragraph of a .sources file."""
        fields = {
            "Types": "deb",
            "URIs": " ".join(self.uris),
            "Suites": " ".join(self.suites),
            "Components": " ".join(self.components),
            "Signed-By": self.signed_by.replace("\n", "\n "),
            "Trusted": "yes" if self.trusted else "",
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def sources(folder: Path) -> tuple[AptSource, ...]:
    """The sources in every file that apt reads below its folder (`/etc/apt`), in apt's order."""
    parts = folder / "sources.list.d"
    listed = sorted(parts.iterdir(), key=lambda path: path.name) if parts.is_dir() else ()
    files = [folder / "sources.list", *(path for path in listed if _FILE.fullmatch(path.name))]
    return tuple(source for file in files for source in _read(file))


def _read(file: Path) -> tuple[AptSource, ...]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return (parse_deb822 if file.suffix == ".sources" else parse_list)(text)


def parse_list(text: str) -> tuple[AptSource, ...]:
    """The sources of a one-line-style file (`deb [options] uri suite component...`)."""
    found = (_LINE.match(line.split("#")[0].strip()) for line in text.splitlines())
    return tuple(
        _source(_options(match["options"]) | match.groupdict()) for match in found if match
    )


def parse_deb822(text: str) -> tuple[AptSource, ...]:
    """The enabled binary sources of a .sources file (sources.list(5))."""
    return tuple(_source(fields) for fields in _paragraphs(text) if _wanted(fields))


def _options(text: str | None) -> dict[str, str]:
    """The options of a line; where one has several values, the first."""
    pairs = (option.partition("=")[::2] for option in (text or "").split())
    return {name: value.partition(",")[0] for name, value in pairs}


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The fields of each paragraph, names in lower case.

    deb822 is RFC 822 with comments, so the standard library reads it. python-debian gives the same
    result, but is under the GPL and takes 0.07 s to import; debian-inspector knows no comments.
    """
    from email.parser import HeaderParser

    plain = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n[ \t]*\n", plain):
        fields = HeaderParser().parsestr(paragraph.lstrip("\n")).items()
        yield {
            name.lower(): "\n".join(map(str.strip, value.split("\n"))).strip()
            for name, value in fields
        }


def _source(fields: Mapping[str, str]) -> AptSource:
    return AptSource(
        uris=tuple(fields.get("uris", "").split()),
        suites=tuple(fields.get("suites", "").split()),
        components=tuple(fields.get("components", "").split()),
        signed_by=fields.get("signed-by", ""),
        trusted=fields.get("trusted", "").lower() in _YES,
    )


def _wanted(fields: Mapping[str, str]) -> bool:
    return (
        "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in _NO
    )


def options(prefix: str) -> str:
    """apt's settings below a prefix (`Acquire`), as `apt-config dump` prints them."""
    return process.execute(["apt-config", "dump", prefix]).stdout


def system_path(environ: Mapping[str, str] = os.environ) -> str:
    """PATH with the folders of the system's own programs in it, which `su` leaves out."""
    folders = [folder for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    return os.pathsep.join(
        [*folders, *(more for more in ("/usr/sbin", "/sbin") if more not in folders)]
    )


def update(console: Console) -> None:
    """Fetch apt's lists of packages. Raises SetupError when none could be fetched."""
    console.say("fetching apt's lists of packages")
    _apt_get(["update", "-qq"], "could not fetch its lists of packages")


def available(names: Iterable[str]) -> frozenset[str]:
    """Those of the packages that apt could install."""
    shown = process.execute(
        ["apt-cache", "policy", *names], env={"LC_ALL": "C"}, timeout=process.LOOK
    )
    return parse_policy(shown.stdout)


def parse_policy(text: str) -> frozenset[str]:
    """The packages with a candidate in what `apt-cache policy` prints."""
    found = set()
    name = ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate:") and "(none)" not in line:
            found.add(name)
    return frozenset(found)


def install_packages(names: Iterable[str], console: Console) -> None:
    """Install packages unattended. Raises SetupError with apt's last words when that fails."""
    wanted = list(names)
    console.say(f"installing {' '.join(wanted)}")
    keep = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
    _apt_get(
        ["install", "-y", "-qq", "--no-install-recommends", *keep, *wanted],
        "could not install packages",
    )


def may_install(root: bool) -> bool:
    """Whether apt is here and we have the right to use it."""
    return root and Path("/usr/bin/apt-get").exists()


def _apt_get(arguments: list[str], failure: str) -> None:
    # Another apt (unattended-upgrades on a fresh machine) may hold the lock for a while.
    done = process.execute(
        ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env={**_QUIET, "PATH": system_path()},
    )
    if not done.ok:
        raise SetupError(
            f"apt-get {failure}:\n{done.last_lines()}", "fix what apt says, then run this again"
        )
