"""Long texts: no regular expression goes back and forth over one, and no expansion has no end."""

from __future__ import annotations

import pytest
from tests.abuse.patterns import Use, texts, uses

LENGTH = 150_000  # characters: what takes a step for each pair of them takes minutes


# No time is compared: one that goes back and forth does not end within this.
@pytest.mark.timeout(60)
@pytest.mark.parametrize("use", [*uses()], ids=str)
def test_a_regular_expression_reads_a_long_text_once(use: Use) -> None:
    for text in texts(use, LENGTH):
        use(text)
