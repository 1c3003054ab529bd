"""Stand-ins of Python and uv, where no registry can be reached. Python's is a Debian root."""

from __future__ import annotations

import hashlib
import io
import shlex
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from slimbake import docker
from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.host import apt as aptget
from slimbake.host import process
from slimbake.host.apt import AptSource
from slimbake.host.files import exclusively, made_once, state_folder
from slimbake.host.machine import Machine, machine, require_emulation
from slimbake.host.uv import PipCompile, uv_program, uv_version
from slimbake.inside.fetch import FetchError, download, opener

# What a stand-in for Python is made of, decided from a machine's settings.

ROOT = "trixie"
# The versions that Debian has, and the suites beside the root's that they come from.
PYTHONS: Mapping[str, tuple[str, ...]] = {"3.11": ("bookworm",), "3.13": ()}
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
    # With Python's headers, as the official image has them: for what compiles.
    headers: bool = field(default=False, repr=False)

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
        headers = "-headers" if self.headers else ""
        return f"slimbake-standin/python:{self.version}-{ROOT}{headers}" + (
            self.architecture and f"-{self.architecture}"
        )


def recipe(
    version: str, here: Machine, apt_options: str, architecture: str = "", headers: bool = False
) -> StandinRecipe:
    """The recipe of a stand-in on this machine; `apt_options` is what `apt-config dump` prints.

    `architecture`: of another machine than this one, as Debian names it; `headers`: with Python's.

    Raises SetupError for a version that apt lacks and where no Debian mirror is set up.
    """
    if version not in PYTHONS:
        raise SetupError(
            f"no stand-in for Python {version}: Debian has {' and '.join(PYTHONS)}",
            "make the registry reachable, bring the image in with `docker load`, or set `python` in the"
            " manifest to one of these",
        )
    main, security = _debian(here)
    suites = (ROOT, *PYTHONS[version])
    return StandinRecipe(
        version=version,
        packages=(
            f"python{version}",
            f"libpython{version}",
            "ca-certificates",
            "netbase",
            "tzdata",
            *([f"libpython{version}-dev"] if headers else []),
        ),
        build_sources=_sources(main, security, suites),
        image_sources=_sources(main, security, (ROOT,)),
        keyrings=tuple(
            sorted({s.signed_by for s in (main, security) if s and s.signed_by.startswith("/")})
        ),
        apt_options=_options(apt_options, _KEPT),
        architecture=architecture,
        headers=headers,
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


LABEL = "slimbake.standin"


def python_standin(
    version: str,
    here: Machine,
    console: Console,
    install: bool = False,
    platform: str = "",
    headers: bool = False,
) -> str:
    """Have the engine hold a stand-in for Python of that version (`3.11`), and give its reference.

    It is made once, in about half a minute, and again when its recipe changes. `install` lets
    mmdebstrap be installed where it is missing and we may. `platform`: another than this machine's,
    which is emulated, for some minutes; `headers`: with Python's, for what compiles. Raises SetupError for a version that apt lacks, on a
    machine without a mirror of Debian or without an emulator, and when mmdebstrap or the engine
    fails.
    """
    options = aptget.options("Acquire") if here.apt_sources else ""
    wanted = recipe(version, here, options, platform.rpartition("/")[2], headers)
    if _holds(wanted):
        return wanted.reference
    with exclusively("standin", console):
        if not _holds(wanted):
            _find_mmdebstrap(here, install, platform, console)
            _make(wanted, fetch_options(options), console)
    return wanted.reference


def _find_mmdebstrap(here: Machine, install: bool, platform: str, console: Console) -> None:
    if platform:
        require_emulation(platform)
    # The second one is how mmdebstrap finds out that programs of another platform run here.
    missing = [
        name
        for name in ("mmdebstrap", *(["arch-test"] if platform else []))
        if not shutil.which(name)
    ]
    if not missing:
        return
    if not (install and aptget.may_install(here.root)):
        raise SetupError(
            "the registry cannot be reached, and a stand-in for Python needs"
            f" {' and '.join(missing)}",
            f"as root: apt-get install {' '.join(missing)}, or run slimbake bake --install-engine",
        )
    try:
        aptget.install_packages(missing, console)
    except SetupError:  # the lists of packages may be old, or absent
        aptget.update(console)
        aptget.install_packages(missing, console)


def _make(wanted: StandinRecipe, fetching: tuple[str, ...], console: Console) -> None:
    takes = (
        f"for {wanted.architecture}, emulated: some minutes"
        if wanted.architecture
        else "half a minute"
    )
    console.say(f"making a stand-in for Python {wanted.version} from Debian's packages ({takes})")
    before = docker.find_image(wanted.reference)
    with tempfile.TemporaryDirectory(prefix="slimbake-standin-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt's own user downloads into it
        root = _bootstrap(wanted, fetching, folder)
        console.say(f"importing {wanted.reference}")
        changes = (f"LABEL {LABEL}={wanted.digest}", "ENV LANG=C.UTF-8", 'CMD ["python3"]')
        platform = f"linux/{wanted.architecture}" if wanted.architecture else ""
        try:
            docker.import_image(root, wanted.reference, changes, platform)
        except SetupError as error:
            lines = "\n".join(error.hint.splitlines()[-8:])
            raise SetupError(f"the engine does not import the stand-in:\n{lines}") from None
    if before and before != docker.find_image(wanted.reference):
        docker.remove_image(before.id)  # fails, rightly, while a container uses it


def _bootstrap(wanted: StandinRecipe, fetching: tuple[str, ...], folder: Path) -> Path:
    """Make the root as a tar file in a folder, which holds all that this leaves behind."""
    sources, overlay, root = folder / "debian.sources", folder / "overlay.tar", folder / "root.tar"
    sources.write_text(wanted.build_sources, encoding="utf-8")
    overlay.write_bytes(overlay_tar(wanted))
    tidy = (
        'rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/resolv.conf'
        ' "$1"/etc/hostname'
    )
    hooks = [f"--customize-hook={tidy}"]
    for keyring in map(shlex.quote, wanted.keyrings):
        hooks += [
            f'--customize-hook=test -e "$1"{keyring} || install -D -m 644 {keyring} "$1"{keyring}'
        ]
    hooks += [f"--customize-hook=tar-in {overlay} /"]
    if fetching:
        fetch, inside = folder / "fetch.conf", "/etc/apt/apt.conf.d/00slimbake-fetch"
        fetch.write_text("".join(f"{option}\n" for option in fetching), encoding="utf-8")
        hooks += [f"--setup-hook=upload {fetch} {inside}", f'--customize-hook=rm "$1"{inside}']
    done = process.execute(
        [
            "mmdebstrap",
            "--variant=apt",
            *([f"--architectures={wanted.architecture}"] if wanted.architecture else []),
            f"--include={','.join(wanted.packages)}",
            *(f"--aptopt={option}" for option in wanted.apt_options),
            *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
            *hooks,
            ROOT,
            root,
            sources,
        ],
        env={"TMPDIR": str(folder), "SOURCE_DATE_EPOCH": str(EPOCH), "PATH": aptget.system_path()},
    )
    if not done.ok:
        raise SetupError(
            "mmdebstrap could not make the stand-in for Python"
            f" {wanted.version}:\n{done.last_lines()}",
            "see whether apt-get update works on this machine",
        )
    return root


def root_digest(reference: str) -> str:
    """The digest of a stand-in's only layer: the same on every engine, where the image's own is
    not.
    """
    held = docker.find_image(reference)
    return held.layers[0] if held and held.layers else ""


def _holds(wanted: StandinRecipe) -> bool:
    """Whether the engine has a stand-in of this recipe."""
    held = docker.find_image(wanted.reference)
    return held is not None and held.labels.get(LABEL) == wanted.digest


def uv_standin(platform: str = "", here: Machine | None = None) -> Path:
    """A folder that holds `uv` and nothing else, as the image of uv does; made once for each
    version and platform.

    `platform`: another than this machine's, for which the index is asked. Raises SetupError.
    """
    name = "-".join(filter(None, (f"uv-{uv_version()}", platform.replace("/", "-"))))

    def make(folder: Path) -> None:
        if platform:
            _fetch(platform, here or machine(), folder / "uv")
        else:
            shutil.copy(uv_program(), folder / "uv")
        (folder / "uv").chmod(0o755)

    return made_once(state_folder() / name, make)


def _fetch(platform: str, here: Machine, target: Path) -> None:
    """Put uv's program for another platform at `target`: out of its wheel, as the index has it,
    verified by hash.

    Raises SetupError.
    """
    version = uv_version()
    with tempfile.TemporaryDirectory(prefix="slimbake-uv-") as name:
        folder = Path(name)
        found = (
            PipCompile(here, "3.11", platform, folder)
            .locate([("uv", version)], "uv")
            .wheels["uv"][0]
        )
        wheel = folder / found.wheel.file
        packages = here.packages
        try:
            open_ = opener((*packages.extra_index_urls, packages.index_url), here.ca_bundle)
            download(found.url, wheel, found.wheel.sha256, open_)
        except FetchError as error:
            raise SetupError(
                f"a stand-in of uv for {platform}: {error}", "`slimbake doctor` shows the indexes"
            ) from None
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(f"uv-{version}.data/scripts/uv") as packed,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
