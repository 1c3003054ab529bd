"""Delta debugging: the units that cannot be missed, found by asking what still holds without some.
Pure.

Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002), with three
changes. Parts are split by weight, so that the heavy ones are decided first. Several questions are
asked at once, for trials that run beside each other. And what follows from an answer is not asked:
where something fails without a part, it also fails without that part and more. A subset of what has
failed is therefore never tried, which makes the tests of subsets needless.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)
Ask = Callable[[Sequence[tuple[T, ...]]], Sequence[bool]]
"""Whether all holds when only these units are kept: an answer for each question."""


def ddmin(
    units: Sequence[T],
    ask: Ask[T],
    *,
    width: int = 2,
    weight: Callable[[T], float] = lambda _: 1,
    least: float = 0,
) -> tuple[T, ...]:
    """The units that are needed, in their order; what is returned has been asked, or is all of
    them.

    Where more units never harm, none of them can be left out, but for parts that together weigh
    less than `least`: these are not split. Of n units no more than 4 n * `width` questions are
    asked, with any answers.
    """
    kept = list(units)
    parts = [list(units)] if units else []
    failed: list[frozenset[T]] = []
    hopeful = False  # whether the last answers were mostly good
    while parts:
        waiting, stay = parts, []
        while waiting:
            batch: list[tuple[list[T], list[T]]] = []  # a part, and what is kept without it
            while waiting and len(batch) < width:
                part, *waiting = waiting
                # Hoping that what is asked before it goes too, or that it does not: what is hoped
                # in vain is lost.
                alone = _less(kept, part)
                without = _less(batch[-1][1], part) if batch and hopeful else alone
                if _follows(alone, failed):
                    stay.append(part)
                else:
                    # Of what has failed already there is no hope.
                    batch.append((part, alone if _follows(without, failed) else without))
            answers = ask([tuple(without) for _, without in batch]) if batch else ()
            again: list[list[T]] = []
            for (part, without), holds in zip(batch, answers, strict=True):
                if not holds:
                    failed.append(frozenset(without))
                now = _less(kept, part)
                asked = without == now
                if holds and asked:
                    kept = without
                elif asked or (not holds and _follows(now, failed[-1:])):
                    stay.append(part)
                else:
                    again.append(part)  # to be asked without what has gone since
            hopeful = sum(answers) * 2 > len(answers)
            waiting = again + waiting
        split = [
            _halves(part, weight)
            for part in stay
            if len(part) > 1 and _weigh(part, weight) >= least
        ]
        # All first halves, then the others: where the first can go, it follows that the second
        # cannot.
        parts = [half for halves in zip(*split, strict=True) for half in halves]
    return tuple(kept)


def _less(kept: Sequence[T], part: Sequence[T]) -> list[T]:
    gone = set(part)
    return [unit for unit in kept if unit not in gone]


def _follows(kept: Sequence[T], failed: Sequence[frozenset[T]]) -> bool:
    these = frozenset(kept)
    return any(these <= known for known in failed)


def _weigh(part: Sequence[T], weight: Callable[[T], float]) -> float:
    return sum(map(weight, part))


def _halves(part: Sequence[T], weight: Callable[[T], float]) -> tuple[list[T], list[T]]:
    """Two parts that weigh about the same: neighbours stay together."""
    half, so_far = _weigh(part, weight) / 2, 0.0
    for number, unit in enumerate(part[:-1], 1):
        so_far += weight(unit)
        if so_far + weight(part[number]) / 2 > half:
            return list(part[:number]), list(part[number:])
    return list(part[:-1]), list(part[-1:])
