"""What locking says beside the locks: of indexes, globs that match nothing, unknown packages."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.fleets import fleet, service

from slimbake.config import manifest
from slimbake.config.model import BaseEntry, IndexLine, Requirements
from slimbake.console import QUIET
from slimbake.errors import ManifestError
from slimbake.externals.debs import Apt
from slimbake.fleet import resolve
from slimbake.host.machine import machine
from slimbake.lock.indexes import remarks
from slimbake.lock.locking import lock

CPU, CUDA = (
    IndexLine("r.txt:1", "--extra-index-url", f"https://download.pytorch.org/whl/{build}")
    for build in ("cpu", "cu121")
)


@pytest.mark.parametrize("torch", [None, "cpu", "cuda", "cu128"])
@pytest.mark.parametrize("index", [CPU, CUDA])
def test_an_index_of_a_cuda_build_is_named_where_the_manifest_asks_for_none(
    torch: str | None, index: IndexLine
) -> None:
    asked = Requirements(("torch",), indexes=(index,))
    alone = fleet(service("api", requirements=asked, torch=torch))
    below = BaseEntry("ml", requirements=Requirements(("torch",)), torch=torch)
    stood = fleet(service("api", base="ml", requirements=asked), bases=(below,))
    line = f"{index.where}: {index.said} {index.address}"
    said = f"{line} chooses a build of torch: say `torch: cu121` in the manifest"
    silent = index is CPU or torch in ("cuda", "cu128")
    for found in (alone, stood):
        assert [*remarks(found)] == ([] if silent else [said])


MANIFEST = """\
project: atlas
python: "3.11"
bases: {small: {system: [libpq5, libgl-1]}}
services:
  api: {base: small, context: ., system: [nosuch, libgl-1]}
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
        "services.yaml:3:34: bases.small.system[1]: Debian has no package 'libgl-1'\n"
        "  did you mean 'libgl1' or 'libgle3'?",
        "services.yaml:5:43: services.api.system[0]: Debian has no package 'nosuch'\n"
        "  `apt-cache search WORD` finds packages on a Debian machine",
        "services.yaml:5:51: services.api.system[1]: Debian has no package 'libgl-1'\n"
        "  did you mean 'libgl1' or 'libgle3'?",
    ]
    assert not [*(tmp_path / "bake/locks").glob("*.system.txt")]
