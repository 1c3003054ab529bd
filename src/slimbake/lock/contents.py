"""What wheels hold, as the wheelhouse has them."""

from __future__ import annotations

import zipfile

from slimbake.errors import SetupError
from slimbake.inside.archives import open_zip
from slimbake.lock.model import Pin
from slimbake.lock.wheelhouse.store import Store


def wheel_files(pin: Pin, store: Store) -> frozenset[str]:
    """The files of a package below site-packages; none where the store has none of its wheels.

    Raises SetupError for a wheel that cannot be read.
    """
    for wheel in pin.wheels:
        held = store.held(wheel.sha256, wheel.file, wheel.bytes)
        if not held:
            continue
        try:
            with open_zip(held.path) as archive:
                return frozenset(archive.namelist())
        except zipfile.BadZipFile as error:
            raise SetupError(f"{wheel.file} is no wheel: {error}", "take another version") from None
    return frozenset()
