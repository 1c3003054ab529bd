"""The tables of what precisions cost are what was measured: none of their figures is typed by hand."""

from __future__ import annotations

import json
from types import ModuleType

import pytest
from bench import generation, precision


@pytest.mark.parametrize("bench", [precision, generation])
def test_the_document_is_made_of_the_measurements_that_are_committed(bench: ModuleType) -> None:
    said = json.loads(bench.RESULTS.read_text())
    words = f"run {bench.__name__.replace('.', '/')}.py, and commit it with {bench.RESULTS.name}"
    assert bench.DOCUMENT.read_text() == bench.document(said), words
