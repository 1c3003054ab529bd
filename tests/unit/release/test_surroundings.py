"""What this machine brings to a build that asks an index: exactly the wheels of a lock that lie in
its folders.
"""

import dataclasses
import tomllib
from pathlib import Path

import pytest
from tests.unit.fleets import asks, fleet, locked, pinned, plan_of, planned, service
from tests.unit.machines import DEBIAN
from tests.wheels import make_wheel

from slimbake.host.pip import PackageSources
from slimbake.host.wheels import Wheel
from slimbake.lock.model import Pin
from slimbake.release.command import BakeOptions, Surroundings, arguments
from slimbake.release.surroundings import _uv_settings as uv_settings
from slimbake.release.surroundings import find_links


def test_each_target_gets_its_locked_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(tmp_path / "wheelhouse"))
    folder = tmp_path / "folder"
    wanted = make_wheel(folder, "torch", "2+cpu", tag="cp311-cp311-linux_x86_64")
    # the same version, for another Python
    make_wheel(folder, "torch", "2+cpu", tag="cp312-cp312-linux_x86_64")
    make_wheel(folder, "other", "1")
    here = dataclasses.replace(
        DEBIAN, packages=PackageSources(find_links=(str(folder), "https://pages.example.com"))
    )
    made = fleet(service("a", requirements=asks("torch")), service("b", requirements=asks("six")))
    torch = Pin("torch", "2+cpu", (Wheel(wanted.name, 200_000_000, "0" * 64),))
    targets = plan_of(made, locked(a=[torch, pinned("six")], b=[pinned("six")])).targets
    [heavy] = [target.name for target in targets if target.name.startswith("layer_torch_")]
    found = find_links(targets, {}, here)
    assert set(found) == {heavy}
    assert [path.name for path in Path(found[heavy]).iterdir()] == [wanted.name]
    assert find_links(targets, {}, here) == found


def test_a_build_asks_the_machine_s_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert uv_settings(PackageSources(find_links=("/srv/wheels",))) == ""
    said = uv_settings(
        PackageSources(
            index_url='https://me:a"b@x.example.com/simple',
            extra_index_urls=("https://y.example.com",),
            find_links=("/srv/wheels", "https://z.example.com"),
            no_index=True,
        )
    )
    assert tomllib.loads(Path(said).read_text()) == {
        "index-url": 'https://me:a"b@x.example.com/simple',
        "extra-index-url": ["https://y.example.com"],
        "find-links": ["https://z.example.com"],
        "no-index": True,
    }
    assert Path(said).stat().st_mode & 0o777 == 0o600


def test_a_folder_of_the_wheelhouse_takes_the_place_of_the_stage_that_asks_the_index() -> None:
    decided = planned(service("a", requirements=asks("six")), service("b"))
    around = Surroundings(externals={}, wheels={"layer_a": "/w/one"})
    words = arguments(decided, ("a", "b"), around, BakeOptions())
    assert [word for word in words if "contexts.wheels" in word] == [
        "layer_a.contexts.wheels=/w/one"
    ]
    around = Surroundings(externals={}, find_links={"layer_a": "/w/two"})
    words = arguments(decided, ("a", "b"), around, BakeOptions())
    assert [word for word in words if "contexts." in word] == ["layer_a.contexts.find-links=/w/two"]
