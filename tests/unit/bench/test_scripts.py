"""Nobody runs a benchmark every day: its imports and paths have to be right all the same."""

import re
import sys
from pathlib import Path

from tests.ran import ran

ROOT = Path(__file__).parents[3]
BENCH = ROOT / "bench"


def test_every_script_can_be_imported() -> None:
    names = sorted(path.stem for path in BENCH.glob("*.py"))
    program = f"import {', '.join(names)}"
    # They import one another as scripts do, from their own folder.
    done = ran([sys.executable, "-c", program], cwd=BENCH)
    assert not done.returncode, done.stderr


def test_the_hand_written_dockerfiles_copy_what_is_there() -> None:
    copied = {
        (path.name, source)
        for folder in ("one-by-one", "parallel")
        for path in (BENCH / "baseline" / folder).glob("*.Dockerfile")
        for source in re.findall(r"^COPY ([^-\s]\S*) ", path.read_text(), re.MULTILINE)
    }
    assert len(copied) > 8
    assert not [each for each in copied if not (ROOT / each[1]).exists()]
