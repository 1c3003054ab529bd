"""apt on this machine: its source of Debian, and installing packages unattended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

DEBIAN = {"bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uris>\S+)\s+(?P<suites>\S+)(?P<rest>.*)"
)
_UNATTENDED = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class AptSource:
    """One source of binary packages."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    signed_by: str = ""  # path of the keyring, or the key itself; "" = the keys that apt trusts
    trusted: bool = False

    def deb822(self, suites: Iterable[str]) -> str:
        """The main component of these suites as a paragraph of a .sources file."""
        fields = {
            "Types": "deb",
            "URIs": " ".join(self.uris),
            "Suites": " ".join(suites),
            "Components": "main",
            "Signed-By": (self.signed_by or KEYRING).replace("\n", "\n "),
            "Trusted": "yes" if self.trusted else "",
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def sources(folder: Path = Path("/etc/apt")) -> tuple[AptSource, ...]:
    """The sources in every file that apt reads, in apt's order."""
    parts = folder / "sources.list.d"
    listed = sorted(parts.iterdir(), key=lambda path: path.name) if parts.is_dir() else ()
    found: list[AptSource] = []
    for file in (folder / "sources.list", *listed):
        if file.is_file() and file.suffix in (".list", ".sources"):
            text = file.read_text(encoding="utf-8", errors="replace")
            found += (deb822_sources if file.suffix == ".sources" else line_sources)(text)
    return tuple(found)


def line_sources(text: str) -> Iterator[AptSource]:
    """The sources of a one-line-style file (`deb [options] uri suite component...`)."""
    for line in text.splitlines():
        if found := _LINE.fullmatch(line.partition("#")[0].strip()):
            pairs = (option.partition("=")[::2] for option in (found["options"] or "").split())
            yield _source({**dict(pairs), "uris": found["uris"], "suites": found["suites"]})


def deb822_sources(text: str) -> Iterator[AptSource]:
    """The enabled binary sources of a .sources file (sources.list(5))."""
    plain = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n[ \t]*\n", plain):
        fields = HeaderParser().parsestr(paragraph.lstrip("\n")).items()
        said = {
            name.lower(): "\n".join(map(str.strip, value.split("\n"))).strip()
            for name, value in fields
        }
        if "deb" in said.get("types", "").split() and said.get("enabled", "yes") != "no":
            yield _source(said)


def _source(fields: Mapping[str, str]) -> AptSource:
    return AptSource(
        uris=tuple(fields["uris"].split()),
        suites=tuple(fields["suites"].split()),
        signed_by=fields.get("signed-by", ""),
        trusted=fields.get("trusted", "").lower() in ("yes", "true", "1"),
    )


def debian(found: Iterable[AptSource]) -> tuple[AptSource, AptSource | None]:
    """The source of Debian among these, and that of its security updates where there is one."""
    found = [each for each in found if each.uris[0].startswith(("http:", "https:", "mirror"))]
    main = next((each for each in found if DEBIAN & set(each.suites)), None)
    if main is None:
        sys.exit("apt on this machine has no mirror of Debian")
    security = (e for e in found if any(suite.endswith("-security") for suite in e.suites))
    return main, next(security, None)


def system_path() -> str:
    """PATH with the folders of the system's own programs in it, which `su` leaves out."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return os.pathsep.join((*folders, *({"/usr/sbin", "/sbin"} - {*folders})))


def available(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the packages that apt could install, in their order."""
    wanted = tuple(names)
    words = ("apt-cache", "policy", *wanted)
    shown = subprocess.run(
        words, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}
    ).stdout
    none = re.findall(r"^(\S+):\n.*\n +Candidate: \(none\)$", shown, re.MULTILINE)
    there = {*re.findall(r"^(\S+):$", shown, re.MULTILINE)} - {*none}
    return tuple(name for name in wanted if name in there)


def update() -> None:
    """Fetch the lists of packages."""
    _apt_get("update", "-qq")


def install(*names: str) -> None:
    """Install packages unattended, waiting for another apt that is at work."""
    print(f"installing {' '.join(names)}", file=sys.stderr)
    keep = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
    _apt_get("install", "-y", "-qq", "--no-install-recommends", *keep, *names)


def _apt_get(*words: str) -> None:
    environment = {**os.environ, **_UNATTENDED, "PATH": system_path()}
    command = ("apt-get", "-o", "DPkg::Lock::Timeout=300", *words)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{(done.stderr or done.stdout)[-2000:]}")
