"""The lock stage: exact, hash-verified contents of each layer, in files made to be committed and
reviewed.
"""

from __future__ import annotations

from slimbake.lock.asked import stale
from slimbake.lock.locking import ALL, lock
from slimbake.lock.locks import Locks, locked_pins, read_locks
from slimbake.lock.model import Pin

__all__ = ["ALL", "Locks", "Pin", "lock", "locked_pins", "read_locks", "stale"]
