"""Writes locks of made-up wheels for the manifest in the working folder: one of a megabyte for each
requirement.

A process of its own: what it holds does not count as what is measured afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from slimbake.fleet.model import Scope
from slimbake.host.wheels import Wheel
from slimbake.lock.asked import asks
from slimbake.lock.locks import EXTERNALS, EXTERNALS_HEADER, LockRecord, write_locks
from slimbake.lock.model import Pin, locked_scopes, text_digest
from slimbake.lock.text import lock_text
from slimbake.project import load

BYTES = 1_000_000
HASH = "0" * 64


def main() -> None:
    """Write all locks of the fleet."""
    fleet = load(Path("services.yaml")).fleet
    texts = {scope.lock: lock_text(pins(scope)) for scope in locked_scopes(fleet)}
    lines = [f"{external.name} {external.image} sha256:{HASH}\n" for external in fleet.externals]
    texts[EXTERNALS] = EXTERNALS_HEADER + "".join(lines)
    asked = asks(fleet, lambda name: texts.get(name, ""))
    records = {name: LockRecord(asked[name], text_digest(text)) for name, text in texts.items()}
    assert records.keys() == asked.keys(), "a lock is missing"
    write_locks(fleet.root, texts, records)


def pins(scope: Scope) -> Iterator[Pin]:
    """What a scope asks for, at version 1.0, without what that would require."""
    for spec in scope.asks.specs:
        name = spec.partition(">")[0]
        yield Pin(name, "1.0", (Wheel(f"{name}-1.0-py3-none-any.whl", BYTES, HASH),), ("",))


if __name__ == "__main__":
    main()
