"""The store of the wheelhouse: files by their content, folders of exactly some of them."""

import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import asks, fleet, locked, service
from tests.unit.machines import debian

from slimbake.console import Console
from slimbake.host.files import half_of
from slimbake.host.wheels import Wheel
from slimbake.inside.fetch import FetchError
from slimbake.lock import wheelhouse
from slimbake.lock.locks import SYSTEM_HEADER, Locks
from slimbake.lock.model import Pin
from slimbake.lock.wheelhouse.store import Held, Store, store


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(tmp_path / "wheelhouse")


def put(kept: Store, name: str, content: bytes) -> Held:
    sha256 = hashlib.sha256(content).hexdigest()
    path = kept.path(sha256, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Held(sha256, path)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_is_held_when_it_is_there_whole(kept: Store) -> None:
    a = put(kept, "a.whl", b"abc")
    assert kept.held(a.sha256, "a.whl", 3) == kept.held(a.sha256, "a.whl", None) == a
    assert kept.held(a.sha256, "a.whl", 4) is None
    assert kept.held("0" * 64, "a.whl", 3) is None


def test_a_damaged_file_is_removed_and_a_good_one_stays(kept: Store) -> None:
    good, bad = put(kept, "a.whl", b"abc"), put(kept, "b.whl", b"abd")
    bad.path.write_bytes(b"xyz")
    assert kept.held(bad.sha256, "b.whl", 3) == bad
    said: list[str] = []
    hashing = replace(kept, rehashed=Console(said.append))
    assert hashing.held(good.sha256, "a.whl", 3) == good
    assert hashing.held(bad.sha256, "b.whl", 3) is None
    assert (good.path.exists(), bad.path.exists()) == (True, False)
    assert said == ["b.whl is damaged: slimbake downloads it again"]


def test_a_folder_holds_exactly_its_files_and_is_the_same_for_the_same(kept: Store) -> None:
    a, b, c = (put(kept, f"{name}.whl", name.encode()) for name in "abc")
    folder = kept.folder([a, b], "wheels")
    assert names(folder) == ["wheels", "wheels/a.whl", "wheels/b.whl"]
    assert kept.folder([b, a], "wheels") == folder
    assert kept.folder([a, b, c], "wheels") != folder
    (folder / "wheels/evil.whl").touch()
    assert kept.folder([a, b], "wheels") == folder
    assert names(folder) == ["wheels", "wheels/a.whl", "wheels/b.whl"]


def test_a_file_fetched_again_replaces_the_damaged_one_everywhere(kept: Store) -> None:
    a = put(kept, "a.whl", b"abc")
    folder = kept.folder([a], "wheels")
    a.path.write_bytes(b"xyz")  # through the link, the folder's too
    assert replace(kept, rehashed=Console(print)).held(a.sha256, "a.whl", 3) is None
    put(kept, "a.whl", b"abc")
    assert (kept.folder([a], "wheels") / "wheels/a.whl").read_bytes() == b"abc"
    assert (folder / "wheels/a.whl").samefile(a.path)


def test_the_same_files_directly_and_in_a_folder_are_two_folders(kept: Store) -> None:
    a = put(kept, "a.whl", b"abc")
    one, other = kept.folder([a], "wheels"), kept.folder([a], "")
    assert (names(one), names(other)) == (["wheels", "wheels/a.whl"], ["a.whl"])
    assert kept.folder([a], "wheels") == one


def test_a_file_system_without_links_copies(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", none)
    a = put(kept, "a.whl", b"abc")
    copied = kept.folder([a], "wheels") / "wheels/a.whl"
    assert copied.read_bytes() == b"abc" and not copied.samefile(a.path)


def test_a_file_is_taken_in_by_its_hash_or_not_at_all(kept: Store, tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"abc")
    sha256 = hashlib.sha256(b"abc").hexdigest()
    assert kept.take(tmp_path / "a.whl", sha256, "a.whl").read_bytes() == b"abc"
    with pytest.raises(
        FetchError, match=f"a.whl is not what the lock names: sha256 {sha256}, wanted 0000"
    ):
        kept.take(tmp_path / "a.whl", "0" * 64, "a.whl")
    assert [path.name for path in kept.root.rglob("*.whl*") if path.is_file()] == ["a.whl"]


def test_what_breaks_half_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), half_of(tmp_path / "a.whl") as half:
        half.write_bytes(b"ab")
        raise OSError("full")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "other.whl").write_bytes(b"other")
    # a process of the same number
    (tmp_path / f".a.whl.{os.getpid()}-{threading.get_native_id()}").hardlink_to(
        tmp_path / "other.whl"
    )
    with half_of(tmp_path / "a.whl") as half:
        half.write_bytes(b"abc")
    assert (tmp_path / "other.whl").read_bytes() == b"other"


def test_the_machine_places_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLIMBAKE_WHEELHOUSE", str(tmp_path / "named"))
    assert store().root == tmp_path / "named"
    monkeypatch.delenv("SLIMBAKE_WHEELHOUSE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert store().root == tmp_path / "cache/slimbake/wheelhouse"


# --- wheels whose upstream hash is unknown


def test_a_damaged_deb_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from slimbake.externals import debs as apt
    from slimbake.inside.debs import Deb, format_debs
    from slimbake.lock.wheelhouse import fetch_debian

    whole = b"whole"
    deb = Deb(
        "libx", "1", "amd64", "libx_1_amd64.deb", len(whole), hashlib.sha256(whole).hexdigest()
    )
    kept = Store(tmp_path / "store")
    kept.path(deb.sha256, deb.file).parent.mkdir(parents=True)
    kept.path(deb.sha256, deb.file).write_bytes(b"other")  # of the same length

    def download(self: object, wanted: list[Deb], arch: str, take: Any) -> None:
        (tmp_path / deb.file).write_bytes(whole)
        take(tmp_path)

    monkeypatch.setattr(apt.Apt, "download", download)
    db = fleet(service("db", system=("libx",)))
    locks = Locks({"db.system.txt": SYSTEM_HEADER + format_debs([deb])})
    said: list[str] = []
    fetch_debian(db, locks, debian(), kept, Console(said.append))
    assert said == [] and kept.path(deb.sha256, deb.file).read_bytes() == b"other"
    hashing = replace(kept, rehashed=Console(said.append))
    found = fetch_debian(db, locks, debian(), hashing, Console(said.append))
    assert said[0] == "libx_1_amd64.deb is damaged: slimbake downloads it again"
    assert found["db.system"][0].path.read_bytes() == whole


@pytest.mark.parametrize(
    ("tag", "platform"),
    [
        ("py3-none-any", "linux/amd64"),
        ("cp311-cp311-manylinux_2_28_x86_64", "linux/amd64"),
        ("cp311-cp311-manylinux_2_28_aarch64", "linux/arm64"),
        ("cp39-cp39-win_amd64", "linux/amd64"),  # named by a lock all the same
    ],
)
def test_a_wheel_is_looked_up_for_a_platform_that_it_fits(tag: str, platform: str) -> None:
    both = ("linux/amd64", "linux/arm64")
    made = fleet(service("api", requirements=asks("six")), platforms=both)
    pin = Pin("six", "1", (Wheel(f"six-1-{tag}.whl", 9, "0" * 64),))
    [wanted] = wheelhouse._wanted(made, locked(api=[pin]))
    assert (wanted.platform, wanted.lock, wanted.pin) == (platform, "api", pin)
