"""What a toy service's image holds, and what it does not."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pytest
from tests.engine.conftest import Toy, docker, python
from tests.engine.toys import text_of
from tests.patience import wait_for

from slimbake.images.streams import zstd

HARDENED = ("--rm", "--read-only", "--cap-drop=ALL", "--network=none")

MANIFEST = text_of("image.yaml")

TIDY = """
import json, os, signal, sys, time
def show():
    import iniconfig
    here = sorted(os.path.relpath(os.path.join(folder, name)) for folder, _, names in os.walk(".") for name in names)
    print(json.dumps({
        "python": sys.executable, "prefix": sys.prefix, "ids": [os.getuid(), os.getgid()], "cwd": os.getcwd(),
        "files": [path for path in here if not path.endswith(".pyc")],
        "read": [open(path).read() for path in ("mode/0600.txt", "link.txt", "closed/inside.txt")],
        "iniconfig": iniconfig.__file__,
    }))
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    show()
    while "wait" in sys.argv:
        time.sleep(0.1)
"""

TOKEN = "hush-3f2a91c7d0"  # noqa: S105
# The step fails unless it can read the secret; only its length is kept.
READ = (
    "import os, pathlib; text = pathlib.Path('/run/secrets/token').read_text(); assert"
    " text.startswith('hush-'); pathlib.Path('/length').write_text(str(len(text)))"
)
PRIVATE = f"""
FROM base
USER 0:0
RUN --mount=type=secret,id=token {json.dumps(["python", "-c", READ])}
USER 65532:65532
ENTRYPOINT ["python", "-c", "print(open('/length').read())"]
"""


@pytest.fixture(scope="module")
def toy(shared_toy: Toy) -> Toy:
    code = {
        "tidy/tidy.py": TIDY,
        "tidy/requirements.txt": "iniconfig\n",
        "tidy/smoke.py": "def imports():\n    import tidy\n    tidy.show()\n",
        "tidy/mode/0600.txt": "0600",
        "tidy/closed/inside.txt": "0700",
    }
    files = {"query/query.py": "", "private/Dockerfile": PRIVATE}
    shared_toy.write(MANIFEST, code | files)
    for name in (
        "README.md",
        "tests/test_tidy.py",
        ".git/HEAD",
        ".env",
        "sub/__pycache__/x.pyc",
        "Dockerfile",
    ):
        shared_toy.file(f"tidy/{name}", "no code")
    (shared_toy.root / "tidy/link.txt").symlink_to("mode/0600.txt")
    for path, mode in (
        ("mode/0600.txt", 0o600),
        ("closed/inside.txt", 0o600),
        ("closed", 0o700),
    ):
        (shared_toy.root / "tidy" / path).chmod(mode)
    (shared_toy.root / "tidy/smoke.py").chmod(0o600)
    shared_toy.done("bake", env={"TOY_TOKEN": TOKEN})
    return shared_toy


@pytest.fixture(scope="module")
def members(toy: Toy) -> list[tarfile.TarInfo]:
    """Every file of the tidy image."""
    container = docker("create", toy.image("tidy")).strip()
    exported = toy.root / "root.tar"
    docker("export", f"--output={exported}", container)
    docker("rm", container)
    with tarfile.open(exported) as tar:
        return tar.getmembers()


@pytest.fixture(scope="module")
def said(toy: Toy) -> dict[str, object]:
    """What the tidy service says of itself, with no rights at all."""
    return dict(json.loads(docker("run", *HARDENED, toy.image("tidy"))))


def test_what_an_installer_leaves_is_not_there(members: list[tarfile.TarInfo]) -> None:
    debris = (".lock", "uv_cache.json", ".gitignore")
    assert [member.name for member in members if member.name.endswith(debris)] == []
    mounted = ("tmp/", "inside", "make.pyz", "root/")
    assert [member.name for member in members if member.name.startswith(mounted)] == []


def test_it_has_its_code_alone_and_runs_without_rights_from_slimbakes_prefix(
    said: dict[str, object],
) -> None:
    assert str(said.pop("iniconfig")).startswith("/opt/slimbake/lib/python3.11/site-packages/")
    assert said == {
        "ids": [65532, 65532],
        "cwd": "/app",
        "python": "/opt/slimbake/bin/python",
        "prefix": "/opt/slimbake",
        "read": ["0600", "0600", "0700"],  # files that only their owner could read
        "files": ["README.md", "closed/inside.txt", "link.txt", "mode/0600.txt", "tidy.py"],
    }


def test_a_volume_belongs_to_the_user_that_writes_it(toy: Toy) -> None:
    code = "open('/data/note', 'w').write('kept'); print(open('/data/note').read())"
    hardened = ("--read-only", "--cap-drop=ALL", "--volume=/data")
    assert python(toy.image("tidy"), code, *hardened) == "kept\n"


def test_sigterm_ends_it_at_once(toy: Toy) -> None:
    container = docker("run", "--detach", *HARDENED[1:], toy.image("tidy"), "wait").strip()
    try:
        wait_for(lambda: docker("logs", container) != "", "its first word")
        docker("stop", "--time=600", container)  # what does not end is killed, and its code 137
        assert docker("inspect", "--format={{.State.ExitCode}}", container).strip() == "0"
    finally:
        docker("rm", "--force", container)


def test_a_debian_package_of_a_service_is_carried_along(toy: Toy) -> None:
    code = "import ctypes; print(ctypes.CDLL('libpq.so.5').PQlibVersion() > 0)"
    assert python(toy.image("query"), code, "--read-only", "--cap-drop=ALL") == "True\n"


def test_a_secret_is_usable_in_a_step_and_kept_nowhere(toy: Toy) -> None:
    image = toy.image("private")
    assert docker("run", "--rm", image) == f"{len(TOKEN)}\n"
    assert TOKEN not in docker("history", "--no-trunc", image) + docker("image", "inspect", image)
    blobs = saved(image, toy.root)
    assert any(b"site-packages" in blob for blob in blobs), "the layers could be read"
    assert not any(TOKEN.encode() in blob for blob in blobs)


def saved(image: str, folder: Path) -> list[bytes]:
    """All that the engine keeps of an image, uncompressed."""
    blobs = []
    docker("save", f"--output={folder / 'saved.tar'}", image)
    with tarfile.open(folder / "saved.tar") as archive:
        for member in archive:
            data = file.read() if (file := archive.extractfile(member)) else b""
            if data.startswith(b"\x28\xb5\x2f\xfd"):
                data = zstd.decompress(data)
            elif data.startswith(b"\x1f\x8b"):
                data = gzip.decompress(data)
            blobs.append(data)
    return blobs
