"""What wheels hold, as the wheelhouse has them; which globs of `remove:` match nothing of it."""

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

    Only scopes all of whose wheels the store holds can be judged; of others nothing is said.
    """
    every: tuple[Base | Service, ...] = (*fleet.bases, *fleet.services)
    for holder in every:
        if not holder.removal.remove:
            continue
        files = [wheel_files(pin, store) for pin in locks.pins(holder.scope.lock)]
        paths = frozenset[str]().union(*files)
        if not all(files) or not files:
            continue
        for key in ("remove", "keep"):
            for glob in getattr(holder.removal, key):
                if not any(map(matcher([glob]), paths)):
                    yield f"{holder.place}.{key}: {glob}"


def wheel_files(pin: Pin, store: Store) -> frozenset[str]:
    """The files of a package below site-packages; none where the store has none of its wheels."""
    for wheel in pin.wheels:
        for path in (store.root / "sha256").glob(f"*/{wheel.file}"):
            with zipfile.ZipFile(path) as archive:
                return frozenset(archive.namelist())
    return frozenset()
