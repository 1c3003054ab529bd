"""Local images of Python and uv, where no registry can be reached. Python's is a Debian root.

Each has the label `slimbake.standin`: slimbake never pushes what is made with one beyond loopback.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tools.bare import apt

ROOT = "trixie"
# The versions that Debian has, and the suites beside the root's that they come from.
SUITES: dict[str, tuple[str, ...]] = {"3.11": ("bookworm",), "3.13": ()}
LABEL = "slimbake.standin"
EPOCH = 1735689600  # 2025-01-01: the same packages give the same root
PULL = 60  # seconds that a registry has
DPKG = (  # as in the official slim images
    "force-unsafe-io",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
)
# As in the official images; without it 140 MB of apt's cache stay in a layer.
CLEAN = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
Apt::AutoRemove::SuggestsImportant "false";
"""
# The machine's settings of apt that its mirror needs, in the image too; and those that concern this
# machine's way to the mirror, which must not stay.
KEPT = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")
WAY = ("Acquire::http", "Acquire::https", "Acquire::Retries")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def python_image(version: str, name: str = "", architecture: str = "") -> str:
    """Have the engine hold an image of this Python (`3.11`), and give its name.

    Pulled where its registry answers; else made of Debian's packages, in half a minute, and again
    where its recipe changes. `architecture`: another than this machine's, as Debian names it.
    """
    name = name or f"python:{version}-slim-{ROOT}"
    if version not in SUITES:
        sys.exit(f"Debian {ROOT} has no Python {version}")
    main, security = apt.debian(apt.sources())
    suites, options = (ROOT, *SUITES[version]), _run("apt-config", "dump", "Acquire").splitlines()
    packages = (
        f"python{version}",
        f"libpython{version}-dev",
        "ca-certificates",
        "netbase",
        "tzdata",
    )
    kept = tuple(line for line in options if line.startswith(KEPT) and not line.endswith(' "";'))
    texts = _sources(main, security, suites), _sources(main, security, (ROOT,))
    parts = (version, packages, texts, kept, DPKG, CLEAN, EPOCH, architecture)
    recipe = hashlib.sha256(repr(parts).encode()).hexdigest()
    if not _is_there(name, recipe, pull=not architecture):
        print(f"making {name} of Debian's packages: half a minute", file=sys.stderr)
        way = [line for line in options if line.startswith(WAY) and not line.endswith(' "";')]
        with tempfile.TemporaryDirectory(prefix="bare-") as folder:
            Path(folder).chmod(0o755)  # apt's own user downloads into it
            root = _bootstrap(Path(folder), version, packages, texts, kept, way, architecture)
            platform = (f"--platform=linux/{architecture}",) if architecture else ()
            changes = (f"LABEL {LABEL}={recipe}", "ENV LANG=C.UTF-8", 'CMD ["python3"]')
            words = [f"--change={change}" for change in changes]
            _run("docker", "import", *platform, *words, str(root), name)
    return name


def uv_image(name: str, architecture: str = "") -> str:
    """Have the engine hold an image of uv: pulled, or of the uv of this environment."""
    if not _is_there(name, "uv", pull=not architecture):
        with tempfile.TemporaryDirectory(prefix="bare-") as folder:
            program = Path(folder, "uv")
            _fetch_uv(program, architecture) if architecture else shutil.copy(_uv(), program)
            program.chmod(0o755)
            platform = (f"--platform=linux/{architecture}",) if architecture else ()
            _build(folder, "FROM scratch\nCOPY uv /uv\n", name, f"--label={LABEL}=uv", *platform)
    return name


def several(name: str, images: dict[str, str]) -> str:
    """One image for several platforms out of one for each, by architecture. Needs the containerd
    store.
    """
    contexts = [f"--build-context=of-{arch}=docker-image://{each}" for arch, each in images.items()]
    platforms = ",".join(f"linux/{arch}" for arch in images)
    with tempfile.TemporaryDirectory(prefix="bare-") as folder:
        words = (f"--platform={platforms}", *contexts, f"--label={LABEL}={name}")
        _build(folder, "FROM of-${TARGETARCH}\n", name, *words)
    return name


def _build(folder: str, dockerfile: str, name: str, *words: str) -> None:
    Path(folder, "Dockerfile").write_text(dockerfile)
    epoch = f"--build-arg=SOURCE_DATE_EPOCH={EPOCH}"
    output = f"--output=type=image,name={name},compression=uncompressed"
    _run("docker", "buildx", "build", "--provenance=false", epoch, output, *words, folder)


def _is_there(name: str, recipe: str, *, pull: bool) -> bool:
    words = ("docker", "image", "inspect", "--format={{json .Config.Labels}}", name)
    held = subprocess.run(words, capture_output=True, text=True, check=False)
    if not held.returncode:
        made = (json.loads(held.stdout) or {}).get(LABEL)
        return made in (None, recipe)
    try:
        pulling = ("docker", "pull", "--quiet", name)
        return pull and not subprocess.run(pulling, capture_output=True, timeout=PULL).returncode
    except subprocess.TimeoutExpired:
        return False


def _sources(main: apt.AptSource, security: apt.AptSource | None, suites: tuple[str, ...]) -> str:
    updates = any(suite.endswith("-updates") for suite in main.suites)
    more = tuple(f"{suite}-updates" for suite in suites) if updates else ()
    texts = [main.deb822((*suites, *more))]
    if security:
        texts.append(security.deb822(f"{suite}-security" for suite in suites))
    return "\n".join(texts)


def _bootstrap(
    folder: Path,
    version: str,
    packages: tuple[str, ...],
    texts: tuple[str, str],
    kept: tuple[str, ...],
    way: list[str],
    architecture: str,
) -> Path:
    """Make the root as a tar file in a folder."""
    missing = [
        each
        for each in ("mmdebstrap", *(["arch-test"] if architecture else []))
        if not shutil.which(each)
    ]
    if missing:
        apt.install(*missing)
    build, overlay, root = folder / "debian.sources", folder / "overlay.tar", folder / "root.tar"
    build.write_text(texts[0])
    overlay.write_bytes(_overlay(version, texts[1]))
    tidy = (
        'rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/resolv.conf'
        ' "$1"/etc/hostname'
    )
    hooks = [f"--customize-hook={tidy}"]
    for keyring in sorted({line[11:] for line in texts[0].splitlines() if "Signed-By: /" in line}):
        there = f'test -e "$1"{keyring} || install -D -m 644 {keyring} "$1"{keyring}'
        hooks.append(f"--customize-hook={there}")
    hooks.append(f"--customize-hook=tar-in {overlay} /")
    if way:
        inside, settings = "/etc/apt/apt.conf.d/00way", folder / "way.conf"
        settings.write_text("\n".join(way) + "\n")
        hooks += [f"--setup-hook=upload {settings} {inside}", f'--customize-hook=rm "$1"{inside}']
    _run(
        "mmdebstrap",
        "--variant=apt",
        *([f"--architectures={architecture}"] if architecture else []),
        f"--include={','.join(packages)}",
        *(f"--aptopt={option}" for option in kept),
        *(f"--dpkgopt={option}" for option in DPKG),
        *hooks,
        *(ROOT, str(root), str(build)),
        TMPDIR=str(folder),
        SOURCE_DATE_EPOCH=str(EPOCH),
        PATH=apt.system_path(),
    )
    return root


def _overlay(version: str, sources: str) -> bytes:
    """The files that the image has beside those of its packages, as a tar file."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for path, text in (
            ("etc/apt/apt.conf.d/docker-clean", CLEAN),
            ("etc/apt/sources.list.d/debian.sources", sources),
        ):
            entry = tarfile.TarInfo(path)
            entry.mtime, entry.mode, entry.size = EPOCH, 0o644, len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        # Ahead of /usr/bin, which belongs to Debian's python3 should a package bring it.
        for name in ("python", "python3"):
            entry = tarfile.TarInfo(f"usr/local/bin/{name}")
            entry.mtime, entry.type, entry.linkname = (
                EPOCH,
                tarfile.SYMTYPE,
                f"/usr/bin/python{version}",
            )
            tar.addfile(entry)
    return output.getvalue()


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv") or sys.exit("uv is not installed")


def _fetch_uv(target: Path, architecture: str) -> None:
    """uv's program for another machine, out of its wheel."""
    version = _run(_uv(), "--version").split()[1]
    with tempfile.TemporaryDirectory(prefix="bare-") as folder:
        platform = f"--platform=manylinux_2_28_{MACHINES[architecture]}"
        older = f"--platform=manylinux_2_17_{MACHINES[architecture]}"
        words = ("download", "--quiet", "--no-deps", "--only-binary=:all:", platform, older)
        _run(sys.executable, "-m", "pip", *words, f"--dest={folder}", f"uv=={version}")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            target.write_bytes(archive.read(f"uv-{version}.data/scripts/uv"))


def _run(*words: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{words[0]} failed:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout
