"""Error messages are interface: each case is a small fleet with faults, and the exact
text that they give.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from slimbake.config import manifest
from slimbake.errors import MANIFEST, ManifestError

CASES = sorted(each.parent for each in Path(__file__).parent.glob("*/expected.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_fault_has_these_words(case: Path, golden: Callable[[Path, str], None]) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest(case / "services.yaml")
    assert caught.value.exit_code == MANIFEST
    lines = [*map(str, caught.value.problems), str(caught.value)]
    golden(case / "expected.txt", "\n".join(lines) + "\n")
