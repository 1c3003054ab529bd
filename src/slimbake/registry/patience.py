"""When a registry is asked again, and after how long. Pure."""

from __future__ import annotations

import datetime
import email.utils
from dataclasses import dataclass

AGAIN = frozenset({429, *range(500, 505)})
"""What a registry answers that may be otherwise in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one registry is waited for. All in seconds."""

    tries: int = 4
    pause: float = 0.5  # before the second try; doubled before each that follows
    longest: float = 30.0  # a registry that wants more of a pause has said no
    connect: float = 10.0
    read: float = 30.0  # without a byte; a call as a whole is limited by whoever makes it


def pause(
    patience: Patience, tried: int, retry_after: str, now: datetime.datetime, chance: float
) -> float | None:
    """Seconds until the next try, or None: there is none.

    `tried`: how often so far; `retry_after`: that header, seconds or an HTTP date, "" where there
    was none; `chance`: 0 to 1, so that many who were turned away at once do not come back at once.
    """
    if tried >= patience.tries:
        return None
    asked = _seconds(retry_after, now)
    if asked is None:
        return min(patience.longest, patience.pause * 2.0 ** (tried - 1)) * (0.5 + chance / 2)
    return asked + patience.pause * chance if asked <= patience.longest else None


def _seconds(retry_after: str, now: datetime.datetime) -> float | None:
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])  # what is longer is too long as well
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - now).total_seconds())
