"""Wheels whose upstream hash no lock holds: the store remembers which file it took for them."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from slimbake.host.files import write_atomically
from slimbake.inside.fetch import hashed
from slimbake.lock.model import Pin
from slimbake.lock.wheelhouse.store import Held, Store


class Unresolved:
    """What was taken for `torch==2.13.0+cpu` on `linux/amd64`, and from where."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._file = store.root / "unresolved.json"
        self._guard = threading.Lock()

    def held(self, pin: Pin, platform: str) -> Held | None:
        """The file, unless the one that it was copied from is now another; where that is gone, the
        copy serves.
        """
        entry = self._read().get(_key(pin, platform))
        if not entry:
            return None
        origin = Path(entry["origin"]) if entry["origin"] else None
        if origin and origin.is_file() and _state(origin) != entry["state"]:
            return None
        return self._store.held(entry["sha256"], entry["file"], entry["state"][0])

    def take(self, pin: Pin, platform: str, path: Path, lasting: bool = True) -> None:
        """Bring a file into the store; `lasting`: it stays where it is, and may change there."""
        sha256 = hashed(path)
        self._store.take(path, sha256, path.name)
        with self._guard:
            entry = {
                "sha256": sha256,
                "file": path.name,
                "origin": str(path) if lasting else "",
                "state": _state(path),
            }
            known = {**self._read(), _key(pin, platform): entry}
            write_atomically(
                self._file, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode()
            )

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return dict(found) if isinstance(found, dict) else {}


def _key(pin: Pin, platform: str) -> str:
    return f"{pin.name}=={pin.version} {platform}"


def _state(path: Path) -> list[int]:
    return [path.stat().st_size, path.stat().st_mtime_ns]
