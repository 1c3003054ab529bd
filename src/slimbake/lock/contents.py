"""What wheels hold, as the wheelhouse has them."""

from __future__ import annotations

import zipfile

from slimbake.lock.model import Pin
from slimbake.lock.wheelhouse.store import Store


def wheel_files(pin: Pin, store: Store) -> frozenset[str]:
    """The files of a package below site-packages; none where the store has none of its wheels."""
    for wheel in pin.wheels:
        for path in (store.root / "sha256").glob(f"*/{wheel.file}"):
            with zipfile.ZipFile(path) as archive:
                return frozenset(archive.namelist())
    return frozenset()
