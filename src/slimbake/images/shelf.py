"""What was found out about layers, kept in a folder by their digests: content never ages."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from slimbake.host.files import write_atomically
from slimbake.images.detail import Contents

_FORMAT = 1
_KEPT = 500  # layers, the latest ones: one of torch takes 2 MB


class Shelf:
    """A folder of findings, or None: nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def contents(self, diff: str) -> Contents | None:
        """What a layer holds, if it was read before."""
        found = self.get(diff)
        with contextlib.suppress(KeyError, TypeError):
            return Contents.of_json(found)
        return None

    def keep(self, diff: str, found: Contents) -> None:
        """Keep what a layer holds."""
        self.put(diff, found.as_json())

    def get(self, key: str) -> dict[str, Any]:
        """What was kept under a digest; empty where nothing was, or nothing that can be read."""
        if self._folder is None:
            return {}
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            found = json.loads(self._path(key).read_text("utf-8"))
            if found.pop("format") == _FORMAT:
                return dict(found)
        return {}

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a value under a digest."""
        if self._folder is None:
            return
        write_atomically(self._path(key), json.dumps({"format": _FORMAT, **value}).encode())
        files = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in files[:-_KEPT]:
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return (self._folder or Path()) / f"{key.removeprefix('sha256:')}.json"
