"""Reading JSON lines."""

import json
from collections.abc import Iterable, Iterator

BOUNDS = {"id": 512, "text": 100_000}  # characters, as the api has them


def read(lines: Iterable[bytes]) -> Iterator[tuple[int, dict[str, str] | str]]:
    """Give each line's number with its document {"id", "text"}, or with what is wrong; skip blank
    lines.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, _document(line)
            except ValueError as error:
                yield number, str(error)


def _document(line: bytes) -> dict[str, str]:
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError("must be an object")
    for key, bound in BOUNDS.items():
        value = found.get(key)
        if not isinstance(value, str) or not 1 <= len(value) <= bound:
            raise ValueError(f"{key} must be text of 1 to {bound} characters")
        value.encode()  # JSON can say half a character; nothing else can
    return {key: found[key] for key in BOUNDS}
