"""Debian packages that do not exist, found when they are locked."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from slimbake.config import manifest
from slimbake.console import QUIET
from slimbake.errors import ManifestError
from slimbake.externals.debs import Apt
from slimbake.fleet import resolve
from slimbake.host.machine import machine
from slimbake.lock.locking import lock

MANIFEST = """\
project: atlas
python: "3.11"
bases:
  small:
    system: [libpq5, libgl-1]
services:
  api:
    base: small
    context: .
    system:
      - nosuch
      - libgl-1
"""


def test_each_unknown_package_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meant: dict[str, list[str]] = {"nosuch": [], "libgl-1": ["libgl1", "libgle3"]}

    def locked(_: Apt, packages: Sequence[str], __: object) -> tuple[str, dict[str, list[str]]]:
        return "", {name: meant[name] for name in packages if name in meant}

    monkeypatch.setattr(Apt, "lock", locked)
    (tmp_path / "services.yaml").write_text(MANIFEST)
    fleet = resolve(manifest(tmp_path / "services.yaml"))
    with pytest.raises(ManifestError) as caught:
        lock(fleet, machine(), QUIET)
    assert [str(problem) for problem in caught.value.problems] == [
        "services.yaml:5:22: bases.small.system[1]: Debian has no package 'libgl-1'\n"
        "  did you mean 'libgl1' or 'libgle3'?",
        "services.yaml:11:9: services.api.system[0]: Debian has no package 'nosuch'\n"
        "  `apt-cache search WORD` finds packages on a Debian machine",
        "services.yaml:12:9: services.api.system[1]: Debian has no package 'libgl-1'\n"
        "  did you mean 'libgl1' or 'libgle3'?",
    ]
    assert not (tmp_path / "bake").exists()
