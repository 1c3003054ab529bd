"""What a stand-in for Python is made of, decided from a machine's settings. Pure."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from slimbake.errors import SetupError
from slimbake.host.apt import AptSource
from slimbake.host.machine import Machine

ROOT = "trixie"
# The versions that Debian has, and the suites beside the root's that they come from.
_PYTHONS: Mapping[str, tuple[str, ...]] = {"3.11": ("bookworm",), "3.13": ()}
_DEBIAN_SUITES = {
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "sid",
    "oldstable",
    "stable",
    "testing",
    "unstable",
}

# 2025-01-01: no file of the root is newer, so that the same packages give the same root.
EPOCH = 1735689600

# As in the official slim images.
DPKG_OPTIONS = (
    "force-unsafe-io",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
)

# As in the official images; without it 140 MB of apt's cache stay in a layer (evidence.md).
_DOCKER_CLEAN = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
Apt::AutoRemove::SuggestsImportant "false";
"""

# The machine's settings of apt that its mirror needs, in the image too.
_KEPT = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")
# Those that concern this machine's way to the mirror and must not stay: proxies, certificates.
_FETCH = ("Acquire::http", "Acquire::https", "Acquire::Retries")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandinRecipe:
    """All that decides what is in a stand-in."""

    version: str
    packages: tuple[str, ...]
    # deb822 text: with the suites that only Python comes from.
    build_sources: str
    # deb822 text: what apt uses in RUN steps.
    image_sources: str
    keyrings: tuple[str, ...]
    apt_options: tuple[str, ...]
    # As Debian names it; empty: this machine's.
    architecture: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        parts = (
            self,
            DPKG_OPTIONS,
            _DOCKER_CLEAN,
            EPOCH,
            "layout 1",
            *filter(None, [self.architecture]),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def reference(self) -> str:
        return f"slimbake-standin/python:{self.version}-{ROOT}" + (
            self.architecture and f"-{self.architecture}"
        )


def recipe(version: str, here: Machine, apt_options: str, architecture: str = "") -> StandinRecipe:
    """The recipe of a stand-in on this machine; `apt_options` is what `apt-config dump` prints.

    `architecture`: of another machine than this one, as Debian names it.

    Raises SetupError for a version that apt lacks and where no Debian mirror is set up.
    """
    if version not in _PYTHONS:
        raise SetupError(
            f"no stand-in for Python {version}: Debian has {' and '.join(_PYTHONS)}",
            "choose one of these, or bring the image in: docker load",
        )
    main, security = _debian(here)
    suites = (ROOT, *_PYTHONS[version])
    return StandinRecipe(
        version=version,
        packages=(
            f"python{version}",
            f"libpython{version}",
            "ca-certificates",
            "netbase",
            "tzdata",
        ),
        build_sources=_sources(main, security, suites),
        image_sources=_sources(main, security, (ROOT,)),
        keyrings=tuple(
            sorted({s.signed_by for s in (main, security) if s and s.signed_by.startswith("/")})
        ),
        apt_options=_options(apt_options, _KEPT),
        architecture=architecture,
    )


def fetch_options(apt_options: str) -> tuple[str, ...]:
    """Of what `apt-config dump` prints, what this machine needs to fetch and an image must not
    keep.
    """
    return _options(apt_options, _FETCH)


def _debian(here: Machine) -> tuple[AptSource, AptSource | None]:
    """This machine's source of Debian, and of its security updates where there is one."""
    sources = [
        source
        for source in here.apt_sources
        if urlsplit(source.uris[0]).scheme not in {"file", "cdrom", "copy"}
    ]
    main = next((source for source in sources if _DEBIAN_SUITES & set(source.suites)), None)
    if main is None:
        raise SetupError(
            "no stand-in for Python: apt on this machine has no mirror of Debian",
            "make the registry reachable, or bring the image in: docker load",
        )
    security = next(
        (s for s in sources if any(suite.endswith("-security") for suite in s.suites)), None
    )
    # Before deb822, trust was by folder; the image has Debian's keys in this file only.
    keyring = main.signed_by or "/usr/share/keyrings/debian-archive-keyring.gpg"
    return replace(main, signed_by=keyring), security and replace(
        security, signed_by=security.signed_by or keyring
    )


def _sources(main: AptSource, security: AptSource | None, suites: Iterable[str]) -> str:
    updates = any(suite.endswith("-updates") for suite in main.suites)
    names = [
        name for suite in suites for name in ((suite, f"{suite}-updates") if updates else (suite,))
    ]
    paragraphs = [replace(main, suites=tuple(names), components=("main",))]
    if security:
        names = [f"{suite}-security" for suite in suites]
        paragraphs.append(replace(security, suites=tuple(names), components=("main",)))
    return "\n".join(source.deb822() for source in paragraphs)


def _options(dump: str, prefixes: tuple[str, ...]) -> tuple[str, ...]:
    lines = (line.strip() for line in dump.splitlines())
    return tuple(line for line in lines if line.startswith(prefixes) and not line.endswith(' "";'))


def overlay_tar(wanted: StandinRecipe) -> bytes:
    """The files that the image has beside those of its packages, as a tar file."""
    files = {
        "etc/apt/apt.conf.d/docker-clean": _DOCKER_CLEAN,
        "etc/apt/sources.list.d/debian.sources": wanted.image_sources,
    }
    # Ahead of /usr/bin, which belongs to Debian's python3 should a system package bring it.
    links = {
        f"usr/local/bin/{name}": f"/usr/bin/python{wanted.version}"
        for name in ("python", "python3")
    }
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for path, text in files.items():
            entry = _entry(path)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        for path, target in links.items():
            entry = _entry(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return output.getvalue()


def _entry(path: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.mtime, entry.mode = EPOCH, 0o644
    return entry
