"""The table of what precisions cost is what was measured: none of its figures is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path

from bench import precision

ROOT = Path(__file__).parents[2]


def test_the_document_is_made_of_the_measurements_that_are_committed() -> None:
    told = json.loads((ROOT / "bench/results/precision.json").read_text())
    words = "run bench/precision.py --write, and commit it with bench/results/precision.json"
    assert (ROOT / "docs/inference-figures.md").read_text() == precision.document(told), words
