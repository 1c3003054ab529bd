"""Prefixes with a cold store, as the step `install` leaves them, and a real Python in each."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.ran import ran
from tests.wheels import make_wheel

from slimbake.inside.cold.pack import go_cold
from slimbake.inside.cold.select import read_by_path, select, warm_modules
from slimbake.inside.rules import LayerFiles


@dataclass(frozen=True)
class Image:
    """A prefix with packages, of which some modules are cold."""

    root: Path

    @property
    def site(self) -> Path:
        return next(self.root.glob("lib/python*/site-packages"))

    @property
    def store(self) -> Path:
        return next(self.root.glob("cold/*.cold"))

    def install(self, wheels: Iterable[Path]) -> list[Path]:
        """Unpack wheels; return the new files."""
        before = set(self.root.rglob("*"))
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(self.site)
        return sorted(set(self.root.rglob("*")) - before)

    def layer(self, name: str, wheels: Iterable[Path], warm: Iterable[str] = ()) -> list[Path]:
        """Install wheels as a layer of that name: all goes cold that can but the bytecode of `warm`."""
        layer = LayerFiles(self.root, self.install(wheels))
        stays = warm_modules(warm) & layer.files.keys()
        words = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
        self.start("-S", *words, *(str(layer.files[each]) for each in sorted(stays)))
        return go_cold(layer, select(layer, warm, stays, read_by_path(self.root)), {"layer": name})

    def start(
        self, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [str(self.root / "bin/python"), *arguments]
        return ran(command, cwd=cwd, env=env, timeout=120)

    def says(self, text: str, *options: str) -> str:
        """What a Python prints that runs this text."""
        done = self.start(*options, "-c", text)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr
        return done.stdout.strip()


def pythons() -> list[str]:
    """This Python, and the machine's own if it is another version."""
    own = shutil.which("python3", path="/usr/bin")
    said = own and subprocess.check_output((own, "--version"), text=True).split()[1]
    other = said and said.split(".")[:2] != list(map(str, sys.version_info[:2]))
    return [sys.executable, *([own] if own and other else [])]


def image(
    root: Path,
    *layers: Mapping[str, Mapping[str, bytes]],
    warm: Iterable[str] = (),
    python: str = sys.executable,
) -> Image:
    """An image of these layers. A layer: distribution -> its files."""
    made = Image(root / "image")
    words = (python, "-m", "venv", "--without-pip", "--symlinks", str(made.root))
    subprocess.run(words, check=True)
    for number, dists in enumerate(layers):
        folder = root / f"wheels-{number}"
        wheels = [make_wheel(folder, name, files=files) for name, files in dists.items()]
        made.layer(f"layer-{number}", wheels, warm)
    return made
