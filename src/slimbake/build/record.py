"""What targets cost here, kept between bakes: a file that is nobody's but this machine's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from slimbake.host.files import write_atomically


def read_costs(file: Path) -> dict[str, float]:
    """Seconds by target, as they were last measured; nothing where the file cannot be read."""
    try:
        return {
            str(name): float(seconds)
            for name, seconds in json.loads(file.read_text("utf-8")).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep_costs(file: Path, seconds: Mapping[str, float]) -> None:
    """Keep what was measured anew, beside what was known of others."""
    if seconds:
        kept = {**read_costs(file), **seconds}
        write_atomically(file, (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode())
