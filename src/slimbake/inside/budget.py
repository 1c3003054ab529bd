"""What may be spent on reading an image, since a few bytes of one can claim any memory and any time."""

from __future__ import annotations

import time

MEMORY = 96 << 20  # bytes; beside it a stream of zstd needs a window of up to 32 MB
SECONDS = 20.0  # of processor time, and for each
RATE = 10 << 20  # bytes that are read, one more
VALUE = 160  # bytes, at most: a value of JSON, with what is made of it


class ExhaustedError(ValueError):
    """Reading an image takes more than it may."""


class Budget:
    """What is left of the memory and the processor time for reading one image, all layers together.

    Whoever keeps something spends before that. Nothing that honest images need comes near.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        """`memory`: bytes."""
        self.left = memory
        self._end = time.thread_time() + SECONDS

    def spend(self, memory: int) -> None:
        """Take bytes of memory. Raises ExhaustedError where there are not as many."""
        if memory > self.left:
            raise ExhaustedError("it has too many parts, or too long ones")
        self.left -= memory

    def spend_json(self, text: bytes) -> None:
        """Take the memory that a JSON text needs once it is read. Raises ExhaustedError."""
        self.spend(memory_of_json(text))

    def read(self, size: int) -> None:
        """Note that bytes were read. Raises ExhaustedError where that took too much time."""
        self._end += size / RATE
        if time.thread_time() > self._end:
            raise ExhaustedError("it takes too long to read")


def memory_of_json(text: bytes) -> int:
    """The bytes, at most, that a JSON text needs once it is read: it has no more values than commas,
    colons and brackets.
    """
    values = sum(map(text.count, (b",", b":", b"[", b"{")))
    # One character beyond ASCII gives all others of its text four bytes. The text is there as
    # bytes, as a whole, and as its parts.
    width = 1 if text.isascii() and b"\\u" not in text else 4
    return (1 + 2 * width) * len(text) + VALUE * (values + 1)
