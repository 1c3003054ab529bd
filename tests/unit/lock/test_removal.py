"""Globs of `remove:` that match no file of the locked packages."""

import hashlib
from pathlib import Path

from tests.unit.fleets import asks, fleet, service
from tests.wheels import wheel_bytes

from slimbake.config.model import BaseEntry, Removal
from slimbake.host.wheels import Wheel
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin
from slimbake.lock.removal import unmatched
from slimbake.lock.text import lock_text
from slimbake.lock.wheelhouse.store import Store

WHEEL = wheel_bytes("thing", "1", files={"thing/__init__.py": b"", "thing/data/a.bin": b"x"})
DIGEST = hashlib.sha256(WHEEL).hexdigest()


def test_globs_are_held_against_the_wheels_that_are_there(tmp_path: Path) -> None:
    removal = Removal(("thing/data/**", "thign/**"), ("thing/data/nothing.bin",))
    web = BaseEntry("web", requirements=asks("thing"), removal=removal)
    made = fleet(service("api", base="web"), bases=(web,))
    assert [base.layer.lock for base in made.bases] == ["base-web"]
    wheel = Wheel("thing-1-py3-none-any.whl", len(WHEEL), DIGEST)
    locks = Locks({"base-web.txt": lock_text([Pin("thing", "1", (wheel,))])})
    store = Store(tmp_path)
    assert list(unmatched(made, locks, store)) == []  # no wheel is there: nobody knows
    folder = tmp_path / "sha256" / DIGEST
    folder.mkdir(parents=True)
    (folder / "thing-1-py3-none-any.whl").write_bytes(WHEEL)
    assert list(unmatched(made, locks, store)) == [
        "bases.web.remove: thign/**",
        "bases.web.keep: thing/data/nothing.bin",
    ]
