"""Services of toy fleets, and what the engine holds of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.engine.conftest import ROOT, Toy, call, docker

SMOKE = "def imports():\n    import app\n"
BROKEN = "def load():\n    import app\n    raise ValueError('the weights are wrong')\n"


def text_of(file: str) -> str:
    """A manifest or another text of a fleet, of the folder beside these tests."""
    return Path(__file__).with_name("fleets").joinpath(file).read_text("utf-8")


def entry(name: str, more: str = "") -> str:
    """A service's entry in the manifest; `more`: further lines of it."""
    return (
        f"  {name}:\n    context: {name}\n    command: [python, -m, app]\n    smoke:"
        f" smoke.py\n{more}"
    )


def code(toy: Toy, *services: str) -> dict[str, str]:
    """Code of services that print their name, which no other fleet has: the engine's cache holds
    nothing of it.
    """
    files = {f"{name}/app.py": f"print({name!r})  # {toy.project}\n" for name in services}
    return files | {f"{name}/smoke.py": SMOKE for name in services}


def write(toy: Toy, *services: str) -> None:
    """A fleet of services that stand on the runtime and whose smokes hold."""
    toy.write("services:\n" + "".join(entry(name) for name in services), code(toy, *services))


def library(name: str, version: str = "1", code: str = "") -> dict[str, str]:
    """A package of the repository, `./libs/NAME`, that uv builds."""
    return {
        f"libs/{name}/pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n'
        '[build-system]\nrequires = ["uv_build>=0.9,<1"]\nbuild-backend = "uv_build"\n',
        f"libs/{name}/src/{name}/__init__.py": code,
    }


def copy_example(toy: Toy, *folders: str) -> None:
    """The example of this repository, with these of its folders, as a project of the toy's name."""
    for name in folders:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, toy.root / name, ignore=ignored)
    manifest = (ROOT / "services.yaml").read_text("utf-8")
    toy.file("services.yaml", re.sub(r"(?m)^project: .*$", f"project: {toy.project}", manifest))


def held(reference: str) -> str:
    """The digest of an image that the engine holds under this name, or nothing."""
    return call("docker", "image", "inspect", "--format={{.Id}}", reference).stdout.strip()


def dangling(toy: Toy) -> str:
    """The untagged images of a fleet that the engine holds."""
    return docker(
        "image",
        "ls",
        "--quiet",
        "--filter=dangling=true",
        f"--filter=label=slimbake.project={toy.project}",
    )
