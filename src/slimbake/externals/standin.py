"""Stand-ins of Python and uv, where no registry can be reached. Python's is a Debian root."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import zipfile
from pathlib import Path

from slimbake import docker
from slimbake.console import Console
from slimbake.errors import SetupError
from slimbake.externals.recipe import (
    DPKG_OPTIONS,
    EPOCH,
    ROOT,
    StandinRecipe,
    fetch_options,
    overlay_tar,
    recipe,
)
from slimbake.host import apt as aptget
from slimbake.host import process
from slimbake.host.files import exclusively, made_once, state_folder
from slimbake.host.machine import Machine, machine, require_emulation
from slimbake.host.uv import PipCompile, uv_program, uv_version
from slimbake.inside.fetch import FetchError, download, opener

LABEL = "slimbake.standin"


def python_standin(
    version: str, here: Machine, console: Console, install: bool = False, platform: str = ""
) -> str:
    """Have the engine hold a stand-in for Python of that version (`3.11`), and give its reference.

    It is made once, in about half a minute, and again when its recipe changes. `install` lets
    mmdebstrap be installed where it is missing and we may. `platform`: another than this machine's,
    which is emulated, for some minutes. Raises SetupError for a version that apt lacks, on a
    machine without a mirror of Debian or without an emulator, and when mmdebstrap or the engine
    fails.
    """
    options = aptget.options("Acquire") if here.apt_sources else ""
    wanted = recipe(version, here, options, platform.rpartition("/")[2])
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
        found = PipCompile(here, "3.11", platform, folder).locate([("uv", version)], "uv")["uv"][0]
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
