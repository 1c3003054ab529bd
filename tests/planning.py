"""Layers of toy fleets, found with little effort."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from slimbake.fleet.layering import planner

EFFORT = planner.EFFORT // 20


@contextmanager
def little_effort() -> Iterator[None]:
    """Plan layers with a twentieth of the effort: enough for toys, which have one good plan.

    How good plans are is what `tests/unit/layering` tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "layer_plan", partial(planner.layer_plan, effort=EFFORT))
        yield
