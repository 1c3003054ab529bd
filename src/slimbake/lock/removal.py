"""Which globs of `remove:` match no file of the locked packages."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from slimbake.fleet.model import Base, Fleet, Service
from slimbake.inside.globs import matcher
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin
from slimbake.lock.wheelhouse.store import Store


def unmatched(fleet: Fleet, locks: Locks, store: Store) -> Iterator[str]:
    """The lines of the manifest whose glob matches nothing, each as `bases.ml.remove: GLOB`.

    Only layers all of whose wheels the store holds can be judged; of others nothing is said.
    """
    every: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    for each in every:
        if not each.removal.remove:
            continue
        files = [_files(pin, store) for pin in locks.pins(each.layer.lock)]
        known = {name for names in files if names is not None for name in names}
        if not files or None in files:
            continue
        for key in ("remove", "keep"):
            for glob in getattr(each.removal, key):
                if not any(map(matcher([glob]), known)):
                    yield f"{each.place}.{key}: {glob}"


def _files(pin: Pin, store: Store) -> frozenset[str] | None:
    """The files of a package below site-packages; None where the store has none of its wheels."""
    for wheel in pin.wheels:
        for path in (store.root / "sha256").glob(f"*/{wheel.file}"):
            with zipfile.ZipFile(path) as archive:
                return frozenset(archive.namelist())
    return None
