"""The smallest set of packages' files that a search found to work for each service: kept for
`slimbake limits`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping

from slimbake.config.model import Manifest
from slimbake.evidence import questions
from slimbake.host.files import write_atomically
from slimbake.lock import lock_texts, settled

FILE = ".slimbake/smallest.json"


def keep(manifest: Manifest, service: str, size: int) -> None:
    """Keep what stays below the prefix, in bytes, after a search of one service; the least of all
    its searches.
    """
    if key := _keys(manifest).get(service):
        found = {
            name: (k, held)
            for name, (k, held) in _read(manifest).items()
            if name != service or k == key
        }
        least = min(size, found.get(service, (key, size))[1])
        text = json.dumps({**found, service: (key, least)}, indent=1, sort_keys=True)
        write_atomically(manifest.file.parent / FILE, (text + "\n").encode())


def smallest(manifest: Manifest) -> dict[str, int]:
    """Bytes below the prefix by service, of those whose packages and checks are still what was
    searched.
    """
    keys = _keys(manifest)
    return {name: size for name, (key, size) in _read(manifest).items() if keys.get(name) == key}


def _keys(manifest: Manifest) -> Mapping[str, str]:
    """Of each service that is checked and has packages: changes with them and with its checks."""
    told: dict[str, list[str]] = {}
    for question, _ in questions(settled(manifest), lock_texts(manifest)):
        for service, check in question.checks.items():
            told.setdefault(service, []).extend((question.layer, question.inputs, check))
    return {
        name: hashlib.sha256("\0".join(parts).encode()).hexdigest() for name, parts in told.items()
    }


def _read(manifest: Manifest) -> dict[str, tuple[str, int]]:
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        found = json.loads((manifest.file.parent / FILE).read_text("utf-8"))
        return {str(name): (str(key), int(size)) for name, (key, size) in found.items()}
    return {}
