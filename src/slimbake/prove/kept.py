"""Answers that are kept: what a trial said once, it need not be asked again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slimbake.inside.passes import Pass
from slimbake.prove.trial import Damage, Outcome
from slimbake.state import write_atomically


class Kept:
    """Answers in a folder, each in a file of its own that is written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Outcome | None:
        """The outcome under a key; None where there is none."""
        try:
            return Outcome(**self.get_json(key))
        except TypeError:  # there is none, or one of another version
            return None

    def put(self, key: str, outcome: Outcome) -> None:
        """Keep an outcome, but for one that ran out of time: that may be the machine's fault."""
        if outcome.level != "time":
            self.put_json(key, outcome.as_json())

    def get_json(self, key: str) -> Any:
        """Any other answer under a key."""
        try:
            return json.loads((self._folder / key[:2] / f"{key}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def put_json(self, key: str, answer: Any) -> None:
        write_atomically(self._folder / key[:2] / f"{key}.json", json.dumps(answer).encode())


def key(subject: str, passes: Sequence[Pass], damage: Sequence[Damage] = (), *more: str) -> str:
    """What an answer depends on: a subject's digest, what the passes do - not how they are called - and the damage."""
    does = [{**asdict(each), "name": ""} for each in passes]
    whole = json.dumps([subject, does, [asdict(each) for each in damage], more], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()
